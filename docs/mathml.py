"""mkdocs hook: formulas become MathML when the site is built, so pages need no script."""

import html
import re

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
# A name without an opening bracket after it: "log n", which would be set as "logn".
_NAME = re.compile(r'<mi>(log|cos|sin|exp|cosh|sinh|arctan)</mi>(?!<mo stretchy="false">&#x00028;)')
_LONG = 40  # characters of LaTeX: may be wider than a phone


def render(latex: str, display: str) -> str:
    """The MathML of a formula."""
    formula = convert(latex, display=display)
    formula = _NAME.sub(r'\g<0><mspace width="0.17em" />', formula)
    # The hat of latex2mathml is ASCII's, which browsers set far above its letter.
    formula = formula.replace("<mo>&#x0005E;</mo></mover>", "<mo>&#x002C6;</mo></mover>")
    if display == "inline" and len(latex) > _LONG:
        return f'<span class="long-formula">{formula}</span>'
    return formula


def on_page_content(content, **_):
    """Replaces what pymdownx.arithmatex marks as a formula."""
    return _FORMULA.sub(
        lambda match: render(html.unescape(match[3]), "block" if match[2] == "[" else "inline"),
        content,
    )
