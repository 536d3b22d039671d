"""Templates: what nginx will get to see of a text that is not its configuration yet.

`readings` is the way in; `yaml_reading` is for YAML around nginx's text, `readings_within` for that
text, and for blocks of other files. Placeholders become unknown words or statements of the same
length, so that offsets, lines and fixes are true to the template.
"""

from nginx_stream_lint.config.templates.masking import (
    readings,
    readings_within,
    yaml_reading,
)

__all__ = ["readings", "readings_within", "yaml_reading"]
