"""Templates of the request's own, for a server that takes them: whatever they do, it is the client's mistake."""

from __future__ import annotations

from bad_input.rows import Row, chat, post

CODE = "template_error"
USER = [{"role": "user", "content": "Hi"}]
ECHO = "{{ messages[0].content }}"
RAISES = "{{ raise_exception('roles must alternate') }}"

# They compile; what they do with the messages fails, or would take for ever.
RAISING = {
    "raises": RAISES, "raises nothing": "{{ raise_exception('') }}", "raises lines": "{{ raise_exception('a\\nb\\r\\n\\u2028c') }}",
    "raises 1 MB": "{{ raise_exception('x' * 1000000) }}", "raises what it is told": "{{ raise_exception(messages[0].content) }}",
    "undefined": "{{ a.b }}", "unknown function": "{{ open('/etc/passwd').read() }}", "division by zero": "{{ 1 // 0 }}",
    "adds a number to a text": "{{ 1 + 'a' }}", "index of no list": "{{ messages[5].content }}",
    "escape to the interpreter": "{{ ''.__class__.__mro__[1].__subclasses__() }}", "changes the messages": "{{ messages.append(1) }}",
    "a range of 10^9": "{% for i in range(1000000000) %}{% endfor %}", "10^9 characters": "{{ 'x' * 1000000000 }}",
    "text that doubles": "{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "loops in loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% for k in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
    "endless recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "a list that doubles":
        "{% set ns = namespace(x=[1]) %}{% for i in range(64) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
}
# They do not.
BROKEN = {
    "cut tag": "{% if", "no condition": "{% if %}", "unknown tag": "{% import 'os' %}", "not closed": "{% for m in messages %}",
    "unknown filter": "{{ 'a' | nope }}", "cut text": "{{ 'a }}", "no expression": "{{ }}", "10^5 brackets": "{{ " + "(" * 100_000 + " }}",
    "10^5 ifs": "{% if a %}" * 100_000, "a number too large": "{{ 99999999999999999999 }}",
}

ROWS = [
    *[Row(f"60 {name}", chat(chat_template=source), 400, CODE, "messages") for name, source in RAISING.items()],
    *[Row(f"60 {name}", chat(chat_template=source), 400, CODE, "chat_template") for name, source in BROKEN.items()],
    Row("60 before a stream", chat(chat_template=RAISES, stream=True), 400, CODE, "messages"),
    *[Row(f"60 {path}", post(path, {"messages": USER, "chat_template": RAISES}), 400, CODE, "messages")
      for path in ("/v1/chat/completions/render", "/apply-template", "/tokenize")],
    Row("60 a prompt of nothing", chat(chat_template=""), 400, "empty_prompt"),
    *[Row(f"58 chat_template {name}", chat(chat_template=value), 400, None, "chat_template")
      for name, value in {"a number": 5, "a list": [ECHO], "an object": {"default": ECHO}, "1 MB and a byte": "x" * ((1 << 20) + 1)}.items()],
    Row("58 chat_template that works", chat(chat_template=ECHO), 200),
    Row("58 chat_template null", chat(chat_template=None), 200, comment="the server's own"),
]
