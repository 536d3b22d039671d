"""The form of a rule file: its keys, and what each holds.

`rule_file.py` reads the keys of this form, and `schema/rule.schema.json` is made from it, so that
editors complete rule files. What a schema cannot say, such as that a name is a fact, is checked by
the reader alone; so are mistakes, which it names with their line, column and the nearest word.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import fields

from nginx_stream_lint.rules.finding import Applicability, Severity
from nginx_stream_lint.streams.stream import Kind

LevelKind = Literal["location", "if-in-location", "limit_except", "stream-server", "server"]
Scope = Literal["location", "server", "origin", "auth_request"]
# The steps of a fix; each kind of step has one of these keys.
Action = Literal["set", "reset", "set_row", "remove_row", "restore_rows", "add_map"]

RuleName = Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{0,59}$")]
Text = Annotated[str, Meta(min_length=1)]
ConditionForm = Annotated[
    Annotated[str, Meta(min_length=1)]
    | Annotated[dict[str, Any], Meta(min_length=1, max_length=1)],
    Meta(
        description='An expression over facts and directives: `kind == "sse" and cut_after_s < 60`.'
        " Or a mapping with `all`, `any`, `not`, or one subject with one operator."
    ),
]
TemplateText = Annotated[
    str, Meta(min_length=1, description="Text with facts: `{{ family }}_buffering is on`.")
]
DirectiveName = Annotated[
    str,
    Meta(
        min_length=1,
        description="A directive. `<family>` stands for proxy, fastcgi, uwsgi, scgi, grpc or"
        " tunnel, and the name of a fact such as `<read_timeout>` for the directive it names.",
    ),
]


class SeverityForm(Struct, forbid_unknown_fields=True):
    """A severity with the condition under which it holds: one of the three."""

    error: ConditionForm | UnsetType = UNSET
    warning: ConditionForm | UnsetType = UNSET
    note: ConditionForm | UnsetType = UNSET


class StepForm(Struct, forbid_unknown_fields=True):
    """One step of a fix: one of the first six keys is its action."""

    set: DirectiveName | UnsetType = UNSET
    reset: DirectiveName | UnsetType = UNSET
    set_row: DirectiveName | UnsetType = UNSET
    remove_row: DirectiveName | UnsetType = UNSET
    restore_rows: DirectiveName | UnsetType = UNSET
    add_map: TemplateText | UnsetType = UNSET
    to: TemplateText | UnsetType = UNSET
    scope: (
        Annotated[
            Scope,
            Meta(
                description="Where the step applies: in the location (default), its server, the"
                " place that sets the value now, or the location of the auth_request."
            ),
        ]
        | UnsetType
    ) = UNSET
    when: ConditionForm | UnsetType = UNSET
    applicability: (
        Annotated[
            Applicability,
            Meta(description="How safe this step is, if it is less safe than the fix."),
        ]
        | UnsetType
    ) = UNSET
    caution: (
        Annotated[
            str, Meta(min_length=1, description="What else an unsafe step changes: a sentence.")
        ]
        | UnsetType
    ) = UNSET
    optional: (
        Annotated[bool, Meta(description="Skip the step if it is impossible. Default: false.")]
        | UnsetType
    ) = UNSET


class FixForm(Struct, forbid_unknown_fields=True):
    """The suggested fix."""

    title: TemplateText
    applicability: Annotated[
        Applicability,
        Meta(
            description="`--fix` writes a safe fix. It writes an unsafe one only with"
            " `--unsafe-fixes`, and only shows a manual one."
        ),
    ]
    steps: (
        Annotated[list[StepForm], Meta(description="The changes of the configuration, in order.")]
        | UnsetType
    ) = UNSET
    snippet: TemplateText | UnsetType = UNSET


class ExampleForm(Struct, forbid_unknown_fields=True):
    """A configuration: `bad`, with the result of its fix as `fixed`; or `good`."""

    bad: (
        Annotated[
            str,
            Meta(min_length=1, description="It gives a finding of this rule and of no other."),
        ]
        | UnsetType
    ) = UNSET
    fixed: Annotated[str, Meta(min_length=1, description="`bad` with the fix.")] | UnsetType = UNSET
    good: (
        Annotated[str, Meta(min_length=1, description="It has a stream, and gives no finding.")]
        | UnsetType
    ) = UNSET
    nginx_version: (
        Annotated[
            str,
            Meta(
                pattern=r"^[0-9.]+$",
                description="The nginx version of this example, in quotes. Default: every version.",
            ),
        ]
        | UnsetType
    ) = UNSET
    evidence: (
        Annotated[
            str,
            Meta(min_length=1, description="What shows the effect here, if not that of the rule."),
        ]
        | UnsetType
    ) = UNSET


class RuleForm(Struct, forbid_unknown_fields=True):
    """A rule of nginx-stream-lint. docs/own-rules.md says more."""

    name: Annotated[RuleName, Meta(description="The name of the rule and of its file.")]
    title: Annotated[str, Meta(min_length=1, description="A few words, for tables.")]
    severity: Annotated[
        list[Severity | SeverityForm],
        Meta(
            min_length=1, description="The first entry whose condition is true sets the severity."
        ),
    ]
    message: TemplateText
    why: Annotated[str, Meta(min_length=1, description="The reason, for the page of the rule.")]
    evidence: Annotated[
        str, Meta(min_length=1, description="What shows the effect: a measurement, an incident.")
    ]
    examples: Annotated[
        list[ExampleForm], Meta(description="Configurations that `rules --test` runs.")
    ]
    kinds: Annotated[list[Kind], Meta(description="Kinds of stream. Default: all.")] | UnsetType = (
        UNSET
    )
    levels: (
        Annotated[
            list[LevelKind],
            Meta(description="Where the handler may stand. Default: the first three."),
        ]
        | UnsetType
    ) = UNSET
    shadowed: (
        Annotated[
            bool,
            Meta(description="About locations whose streams another location handles."),
        ]
        | UnsetType
    ) = UNSET
    when: ConditionForm | UnsetType = UNSET
    at: DirectiveName | UnsetType = UNSET
    blames: DirectiveName | UnsetType = UNSET
    replaces: (
        Annotated[list[RuleName], Meta(description="Rules that this one silences.")] | UnsetType
    ) = UNSET
    renamed_from: (
        Annotated[list[RuleName], Meta(description="Names that the rule had before.")] | UnsetType
    ) = UNSET
    fix: Annotated[FixForm, Meta(description="The suggested fix.")] | UnsetType = UNSET
    references: (
        Annotated[list[Text], Meta(description="Links, or module#directive of nginx's docs.")]
        | UnsetType
    ) = UNSET


def keys_of(form: type[Struct]) -> tuple[list[str], list[str]]:
    """The required and the optional keys of a form."""
    required = [one.name for one in fields(form) if one.required]
    return required, [one.name for one in fields(form) if not one.required]


# What the types of the forms do not say: which keys go together.
_ACTIONS: tuple[str, ...] = get_args(Action)
_TOGETHER: dict[str, dict[str, Any]] = {
    "SeverityForm": {"minProperties": 1, "maxProperties": 1},
    "StepForm": {
        "oneOf": [{"required": [action]} for action in _ACTIONS],
        "dependentRequired": {action: ["to"] for action in _ACTIONS if action != "restore_rows"},
        "dependentSchemas": {
            "restore_rows": {"properties": {"to": False}},
            "caution": {"properties": {"applicability": {"enum": ["manual", "unsafe"]}}},
        },
    },
    "ExampleForm": {
        "oneOf": [{"required": ["bad"]}, {"required": ["good"]}],
        "dependentRequired": {"bad": ["fixed"], "fixed": ["bad"]},
    },
}


def schema() -> dict[str, Any]:
    """The JSON schema of rule files."""
    from msgspec.json import schema as schema_of

    made = schema_of(RuleForm)
    for name, constraints in _TOGETHER.items():
        made["$defs"][name] |= constraints
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | made
