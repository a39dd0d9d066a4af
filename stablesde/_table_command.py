"""`stablesde table`: a table of the paper, ours beside the printed numbers."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

_NETWORKS = 200


@click.argument("number", type=int)
@click.option("--run", is_flag=True, help="Compute what is missing; safe to kill and to repeat.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results-tables"),
    show_default=True,
    help="The run directory, shared by all tables.",
)
@click.option("--seeds", type=int, default=5, show_default=True, help="Number of seeds, from 0.")
@click.option("--only", multiple=True, metavar="ROW", help="Only this row (none, 1.75 …); repeat.")
@click.option("--sigma", type=float, default=None, help="Noise level; default: the printed one.")
@click.option("--learning-rate", type=float, default=None, help="Default: the paper's.")
@click.option("--steps", type=int, default=None, help="Default: the paper's.")
@click.option("--width", type=int, default=None, help="Hidden units; default: the table's.")
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Data directory.")
@click.option(
    "--predict", is_flag=True, help="Beside them, the pruning ratio of start and noise alone."
)
@click.option("--json", "as_json", is_flag=True, help="Print the record, not the table.")
def table(
    number: int, run: bool, out: Path, seeds: int, only: Sequence[str], sigma: float | None,
    learning_rate: float | None, steps: int | None, width: int | None, data: Path | None,
    predict: bool, as_json: bool,
) -> None:  # fmt: skip
    """Show Table NUMBER of the paper (1 to 6, 10 to 20), ours beside the printed numbers.

    Shows what --out holds and says what is missing; --run computes it, a cell for each row and
    seed. A run that is killed goes on with the same command. Tables 17 to 19 are networks trained
    without noise and pruned at the printed ratios.
    """
    from stablesde import training
    from stablesde.studies._format import finite_json

    found = training.paper_table(
        number, out, run=run, seeds=seeds, only=only, root=data, width=width, sigma=sigma,
        learning_rate=learning_rate, steps=steps, predict=_NETWORKS if predict else 0,
    )  # fmt: skip
    if as_json:
        click.echo(json.dumps(finite_json(found.to_dict()), indent=1))
        return
    click.echo(found)
    if not found.complete and not run:
        click.echo("compute it with the same command and --run")
