"""Self-contained HTML pages in one style: they open from disk with no network."""

__all__ = ["render_page", "svg_text"]

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .files import write_atomically
from .numbers import duration, interval, number
from .plots import save_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render_page(package: str, template: str, path: Path, **values: Any) -> None:
    """Render a template of a package's folder ``templates`` to a file; it may include ``page.css.jinja``.

    Args:
        package: such as "rostra.methods.sensei".
        template: file name.
        path: of the page; whole or absent.
        **values: what the template draws from. Filters: number, interval, duration.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package, "templates"), jinja2.PackageLoader("rostra.engine", "templates")]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"number": number, "interval": interval, "duration": duration}
    page = environment.get_template(template).render(**values)
    with write_atomically(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def svg_text(figure: "Figure") -> str:
    """A figure as SVG for a page."""
    buffer = io.StringIO()
    save_svg(figure, buffer)
    return buffer.getvalue()
