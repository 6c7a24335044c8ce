"""What every client's script needs to know of the server."""

import json
import os
import urllib.error
import urllib.request

URL = os.environ["PEGA_URL"]
BASE = URL + "/v1"
MODEL = os.environ["PEGA_MODEL_NAME"]
TOKENIZER = os.environ["PEGA_TOKENIZER"]


def has_chat() -> bool:
    """The server may be one that does not chat: then that part is left out, and the summary says so."""
    request = urllib.request.Request(BASE + "/chat/completions", b"{}", {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60):
            return True
    except urllib.error.HTTPError as error:
        with error:
            return error.code != 404


def complete(prompt: str, max_tokens: int) -> str:
    """The reference: the same by hand."""
    body = json.dumps({"model": MODEL, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0}).encode()
    request = urllib.request.Request(BASE + "/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)["choices"][0]["text"]
