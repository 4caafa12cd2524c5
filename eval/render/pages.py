"""HTML pages by Jinja2: text is escaped, and a name that nothing fills is an error."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template


def template(package: str, name: str) -> Template:
    """A template of a package; it can extend and import those of this one."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(p, ".") for p in (package, "eval.render")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    ).get_template(name)
