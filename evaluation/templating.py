"""Pages from the templates of this package; every text of the data is escaped."""

from __future__ import annotations

from base64 import b64encode

from jinja2 import Environment, PackageLoader, StrictUndefined


def render_page(template: str, **values: object) -> str:
    """The page as HTML; a name that the template uses and nobody gave is an error."""
    environment = Environment(
        loader=PackageLoader("evaluation", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def png_uri(data: bytes) -> str:
    """A picture as an address that holds it, for a page that fetches nothing."""
    return f"data:image/png;base64,{b64encode(data).decode()}"
