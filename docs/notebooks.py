"""mkdocs hook: a page for each notebook, with the outputs that are stored in it.

Nothing is executed (`python notebooks/run.py` does that): nbconvert writes Markdown, its pictures
become files of the site, and the notebook itself is offered for download.
"""

from pathlib import Path

import nbformat
from mkdocs.structure.files import File
from nbconvert import MarkdownExporter

# What was printed, in blocks of a class of their own: its long lines wrap (extra.css).
_PRINTED = """{% extends 'markdown/index.md.j2' %}
{% block stream %}
``` { .text .notebook-output }
{{ output.text | trim }}
```
{% endblock stream %}
"""
_DOWNLOAD = "*The notebook `notebooks/{name}`, with its stored outputs ([download](./{name})).*\n\n"


def on_files(files, config, **_):
    """Adds the pages, their pictures and the notebooks to the site."""
    folder = Path(config["config_file_path"]).parent / "notebooks"
    for path in sorted(folder.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        text, resources = MarkdownExporter(raw_template=_PRINTED).from_notebook_node(notebook)
        for name, data in resources["outputs"].items():
            picture = f"{path.stem}_{name}"
            text = text.replace(f"![png]({name})", f"![figure]({picture})")
            files.append(File.generated(config, f"notebooks/{picture}", content=data))
        heading, body = text.strip().split("\n", 1)
        page = f"{heading}\n\n{_DOWNLOAD.format(name=path.name)}{body}\n"
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=page))
        files.append(File.generated(config, f"notebooks/{path.name}", content=path.read_bytes()))
    return files
