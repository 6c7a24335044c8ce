"""Every field that has a range, at and just outside of its ends and with everything that is no number: what must come of each follows from
the range alone."""

from __future__ import annotations

import dataclasses
import math

from bad_input.rows import IRE, Row, post

INT32, INT64 = 2**31 - 1, 2**63 - 1


@dataclasses.dataclass(frozen=True)
class Field:
    name: str
    whole: bool  # integers only
    min: float
    max: float
    open_min: bool = False  # min itself is not allowed
    never: tuple[float, ...] = ()  # inside the range and refused: the smallest double is 0 as a float
    slow: tuple[float, ...] = ()  # inside the range, and not to be sent: they would run for long, or not at all
    with_: tuple[tuple[str, object], ...] = ()  # fields that it needs beside it
    over: str = ""  # the param where a whole number is above max; "": its own name
    alias_of: str = ""  # another server's name for this field, which must not be there as well

    def allows(self, value: float) -> bool:
        if self.whole and isinstance(value, float) and (value != math.trunc(value) or abs(value) > 2**53):
            return False
        if value in self.never or (self.open_min and value == self.min):
            return False
        return self.min <= value <= self.max


@dataclasses.dataclass(frozen=True)
class Flag:
    name: str
    with_: tuple[tuple[str, object], ...] = ()


def penalties() -> list[Field]:
    on = (("repetition_penalty", 1.5),)
    return [
        *[Field(name, False, -2, 2) for name in ("presence_penalty", "frequency_penalty")],
        *[Field(name, False, 0, 100, open_min=True, never=(5e-324,)) for name in ("repetition_penalty", "repeat_penalty")],
        *[Field(name, True, -1, INT32, with_=on) for name in ("penalty_last_n", "repeat_last_n")],
        Field("min_tokens", True, 0, 1),  # of a max_tokens of 1
    ]


def stages() -> list[Field]:
    """llama-server's; what turns a stage on stands beside its other parameters."""
    dry, xtc, mirostat = (("dry_multiplier", 1),), (("xtc_probability", 1),), (("mirostat", 2),)
    return [
        Field("dry_multiplier", False, 0, 100),
        Field("dry_base", False, 1, 100, with_=dry),
        Field("dry_allowed_length", True, 1, INT32, with_=dry),
        Field("dry_penalty_last_n", True, -1, INT32, with_=dry),
        Field("typical_p", False, 0, 1, open_min=True, never=(5e-324,)),
        Field("top_n_sigma", False, -1, 1000),
        Field("xtc_probability", False, 0, 1, with_=(("xtc_threshold", 0),)),
        Field("xtc_threshold", False, 0, 1, with_=xtc),
        Field("dynatemp_range", False, 0, 2),
        Field("dynatemp_exponent", False, 0, 100, with_=(("dynatemp_range", 1),)),
        Field("mirostat", True, 0, 2),
        Field("mirostat_tau", False, 0, 100, with_=mirostat),
        Field("mirostat_eta", False, 0, 1, with_=mirostat),
    ]


def sampling(max_tokens: int) -> list[Field | Flag]:
    """What both endpoints have; `max_tokens`: what the context leaves beside the prompt."""
    return [
        Field("max_tokens", True, 1, max_tokens, slow=(max_tokens, max_tokens - 1)),
        Field("temperature", False, 0, 2),
        Field("top_p", False, 0, 1, open_min=True, never=(5e-324,)),
        Field("min_p", False, 0, 1),
        Field("top_k", True, -1, INT32),
        Field("seed", True, -INT64 - 1, INT64),
        Field("n", True, 1, 8),
        Field("best_of", True, 1, 1),  # of an n of 1
        *[Field(name, True, 0, 20) for name in ("prompt_logprobs", "n_probs")],
        Field("truncate_prompt_tokens", True, -1, INT32, never=(0,)),
        Field("priority", True, -INT32 - 1, INT32),
        Field("timeout", False, 0, 604800, open_min=True, slow=(5e-324, 0.001)),  # who is faster is the machine's matter
        *penalties(),
        *stages(),
        *[Flag(name) for name in ("stream", "echo", "ignore_eos", "include_stop_str_in_output", "no_stop_trim", "skip_special_tokens",
                                  "add_special_tokens", "return_token_ids", "return_tokens_as_token_ids")],
    ]


def completion_fields(max_tokens: int) -> list[Field | Flag]:
    return [
        *sampling(max_tokens),
        Field("logprobs", True, 0, 20),
        Field("n_predict", True, -1, max_tokens, never=(0,), slow=(-1, max_tokens, max_tokens - 1), over="max_tokens", alias_of="max_tokens"),
    ]


def chat_fields(max_tokens: int) -> list[Field | Flag]:
    return [
        *sampling(max_tokens),
        Field("max_completion_tokens", True, 1, max_tokens, slow=(max_tokens, max_tokens - 1), over="max_tokens"),
        Field("top_logprobs", True, 0, 20, with_=(("logprobs", True),)),
        *[Flag(name) for name in ("logprobs", "parallel_tool_calls", "include_reasoning", "add_generation_prompt", "return_prompt_text")],
    ]


# As they stand in the body; not all of them are JSON.
ODD = {
    "-0.0": 0.0, "1.5": 1.5, "1e0": 1.0, "1e308": 1e308, "-1e308": -1e308, "5e-324": 5e-324, "1e400": None, "-1e400": None, "NaN": None,
    "Infinity": None, "-Infinity": None, '"1"': None, '""': None, "null": "absent", "true": None, "false": None, "[]": None, "[1]": None,
    "{}": None, "": None, "2147483647": INT32, "2147483648": 2**31, "-2147483649": -(2**31) - 1, "4294967296": 2**32, "9007199254740993": 2**53 + 1,
    "9223372036854775807": INT64, "9223372036854775808": 2**63, "-9223372036854775808": -(2**63), "-9223372036854775809": -(2**63) - 1,
    "18446744073709551615": 2**64 - 1, "18446744073709551616": 2**64, "1" * 400: None, "0x10": None, "1_000": None,
}
NOT_JSON = {"NaN", "Infinity", "-Infinity", "", "0x10", "1_000", "1e400", "-1e400", "1" * 400}


def literal(value: float) -> str:
    return repr(value) if isinstance(value, float) and value != int(value) else str(int(value))


def near(field: Field) -> dict[str, float]:
    """The ends of the range and their neighbours."""
    step = 1 if field.whole else 0.001
    values = [field.min - step, field.min, field.min + step, field.max - step, field.max, field.max + step, 0, 1, -1]
    return {literal(v): v for v in values}


def expected(field: Field | Flag, text: str, value: object) -> tuple[int, str | None]:
    """Status and param."""
    if text in NOT_JSON:
        return 400, ""
    if value == "absent":
        return 200, None
    if isinstance(field, Flag):
        return (200, None) if text in ("true", "false") else (400, field.name)
    if isinstance(value, (int, float)) and field.allows(value):
        return 200, None
    above = isinstance(value, (int, float)) and field.max < value <= INT32
    return 400, field.over if above and field.over else field.name


def rows(fields: list[Field | Flag], path: str, base: dict) -> list[Row]:
    made = []
    for field in fields:
        texts = dict(ODD) if isinstance(field, Flag) else {**ODD, **near(field)}
        shadowed = {field.name, field.alias_of} if isinstance(field, Field) else {field.name}
        others = {**{k: v for k, v in base.items() if k not in shadowed}, **dict(field.with_)}
        start = "{" + post(path, others).split(b"\r\n\r\n{", 1)[1].decode()[:-1]
        for text, value in texts.items():
            if isinstance(field, Field) and value in field.slow:
                continue
            status, param = expected(field, text, value)
            made.append(Row(f"{field.name} = {text[:24] or 'nothing'}", post(path, f'{start},"{field.name}":{text}}}'), status, None, param, IRE))
    return made
