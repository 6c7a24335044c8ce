#!/usr/bin/env python3
"""Writes packaging/grafana/pegainfer.json, the Grafana dashboard: the panels are the table below.

Usage: make_dashboard.py [--check]      --check: exit 1 when the file is not what would be written.
"""

from __future__ import annotations

import json
import pathlib
import sys

PATH = pathlib.Path(__file__).resolve().parent.parent / "packaging" / "grafana" / "pegainfer.json"
MODEL = 'model_name=~"$model_name",instance=~"$instance"'
INSTANCE = 'instance=~"$instance"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
RATE = "$__rate_interval"


def rate(metric: str, labels: str = MODEL, by: str = "") -> str:
    total = f"sum by ({by}) " if by else "sum"
    return f"{total}(rate({metric}{{{labels}}}[{RATE}]))"


def quantiles(metric: str) -> list[tuple[str, str]]:
    buckets = rate(f"{metric}_bucket", by="le")
    return [(f"histogram_quantile({q}, {buckets})", f"p{round(q * 100)}") for q in (0.5, 0.9, 0.95, 0.99)] + [
        (f"{rate(f'{metric}_sum')} / {rate(f'{metric}_count')}", "mean")]


def mean(metric: str, name: str) -> tuple[str, str]:
    return f"{rate(f'{metric}_sum')} / {rate(f'{metric}_count')}", name


# (title, what it says, kind, unit, [(expression, legend)])
ROWS: list[tuple[str, list[tuple[str, str, str, str, list[tuple[str, str]]]]]] = [
    ("Now", [
        ("Up", "1: scraped, and the engine is well.", "stat", "none",
         [(f"min(up{{{INSTANCE}}} * on (instance) group_left () pegainfer:engine_healthy{{{MODEL}}})", "up")]),
        ("Generation", "Tokens a second of all requests.", "stat", "short", [(rate("vllm:generation_tokens_total"), "tokens/s")]),
        ("Requests", "Ended a second.", "stat", "reqps", [(rate("vllm:request_success_total"), "requests/s")]),
        ("KV cache", "Blocks that requests hold.", "gauge", "percentunit", [(f"max(vllm:kv_cache_usage_perc{{{MODEL}}})", "used")]),
    ]),
    ("Latency", [
        ("Time to first token", "Arrival, before the prompt is tokenized, to the first token.", "timeseries", "s",
         quantiles("vllm:time_to_first_token_seconds")),
        ("Inter-token latency", "One token to the next, of every request.", "timeseries", "s", quantiles("vllm:inter_token_latency_seconds")),
        ("End-to-end latency", "Arrival to the end.", "timeseries", "s", quantiles("vllm:e2e_request_latency_seconds")),
        ("Where the time goes", "Means of a request: it waits, computes its prompt, generates.", "timeseries", "s",
         [mean("vllm:request_queue_time_seconds", "queue"), mean("vllm:request_prefill_time_seconds", "prefill"),
          mean("vllm:request_decode_time_seconds", "decode")]),
    ]),
    ("Load", [
        ("Token throughput", "Prompt tokens count when their prompt is through, cached ones included.", "timeseries", "short",
         [(rate("vllm:prompt_tokens_total"), "prompt"), (rate("vllm:generation_tokens_total"), "generation")]),
        ("Requests in the engine", "Running ones hold blocks of the KV cache; the others wait.", "timeseries", "short",
         [(f"sum(vllm:num_requests_running{{{MODEL}}})", "running"), (f"sum(vllm:num_requests_waiting{{{MODEL}}})", "waiting")]),
        ("Steps", "Steps a second, and tokens in one.", "timeseries", "short",
         [(rate("pegainfer:engine_steps_total"), "steps/s"), mean("vllm:iteration_tokens_total", "tokens in a step")]),
        ("Ends of requests", "By reason; abort: the client left, or the server was stopped.", "timeseries", "reqps",
         [(rate("vllm:request_success_total", by="finished_reason"), "{{finished_reason}}")]),
    ]),
    ("Cache", [
        ("KV cache usage", "Blocks held by requests; those that the prefix cache merely keeps are free.", "timeseries", "percentunit",
         [(f"max by (instance) (vllm:kv_cache_usage_perc{{{MODEL}}})", "{{instance}}")]),
        ("Prefix cache hit rate", "Prompt tokens found in the cache, of those looked up.", "timeseries", "percentunit",
         [(f"{rate('vllm:prefix_cache_hits_total')} / {rate('vllm:prefix_cache_queries_total')}", "hit rate")]),
        ("Preemptions and refusals", "Requests that lost their blocks; requests answered 429.", "timeseries", "reqps",
         [(rate("vllm:num_preemptions_total"), "preempted"), (rate("vllm:admission_rejections_total", by="reason"), "429: {{reason}}")]),
    ]),
    ("Shape of requests", [
        ("Prompt length", "Tokens.", "heatmap", "short",
         [(f"sum by (le) (increase(vllm:request_prompt_tokens_bucket{{{MODEL}}}[{RATE}]))", "{{le}}")]),
        ("Generation length", "Tokens.", "heatmap", "short",
         [(f"sum by (le) (increase(vllm:request_generation_tokens_bucket{{{MODEL}}}[{RATE}]))", "{{le}}")]),
        ("max_tokens", "What was asked for.", "heatmap", "short",
         [(f"sum by (le) (increase(vllm:request_params_max_tokens_bucket{{{MODEL}}}[{RATE}]))", "{{le}}")]),
    ]),
    ("Server", [
        ("HTTP answers", "A second, by route and status; 4xx are clients' errors, those who left among them.", "timeseries", "reqps",
         [(rate("http_requests_total", INSTANCE, "handler, status"), "{{handler}} {{status}}")]),
        ("HTTP time, p95", "Headers read to answer complete: of a stream, all of it.", "timeseries", "s",
         [(f"histogram_quantile(0.95, {rate('http_request_duration_seconds_bucket', INSTANCE, 'handler, le')})", "{{handler}}")]),
        ("Memory", "Resident memory of the process.", "timeseries", "bytes",
         [(f"process_resident_memory_bytes{{{INSTANCE}}} and on (instance) pegainfer:build_info", "{{instance}}")]),
        ("CPU", "Cores in use.", "timeseries", "short",
         [(f"rate(process_cpu_seconds_total{{{INSTANCE}}}[{RATE}]) and on (instance) pegainfer:build_info", "{{instance}}")]),
    ]),
]


def target(index: int, expression: str, legend: str, kind: str) -> dict:
    out = {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expression, "legendFormat": legend, "range": True}
    if kind == "heatmap":
        out["format"] = "heatmap"
    return out


def panel(number: int, spec: tuple, place: dict) -> dict:
    title, description, kind, unit, targets = spec
    out = {"id": number, "title": title, "description": description, "type": kind, "datasource": SOURCE, "gridPos": place,
           "targets": [target(i, *t, kind) for i, t in enumerate(targets)]}
    if kind == "heatmap":
        out["options"] = {"calculate": False, "yAxis": {"unit": unit}, "color": {"mode": "scheme", "scheme": "Oranges"}, "cellGap": 1}
        return out
    defaults: dict = {"unit": unit, "min": 0}
    if unit == "percentunit":
        defaults["max"] = 1
    if kind == "gauge":
        steps = [{"color": "green", "value": None}, {"color": "orange", "value": 0.8}, {"color": "red", "value": 0.95}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if title == "Up":
        defaults["thresholds"] = {"mode": "absolute", "steps": [{"color": "red", "value": None}, {"color": "green", "value": 1}]}
    out["fieldConfig"] = {"defaults": defaults, "overrides": []}
    if kind == "timeseries":
        out["options"] = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    else:
        out["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}}
    return out


def panels() -> list[dict]:
    out: list[dict] = []
    y = 0
    for name, specs in ROWS:
        out.append({"id": len(out) + 1, "type": "row", "title": name, "collapsed": False, "panels": [],
                    "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        y += 1
        height = 4 if name == "Now" else 8
        columns = len(specs) if name == "Now" else 3 if len(specs) == 3 else 2
        for i, spec in enumerate(specs):
            width = 24 // columns
            place = {"x": i % columns * width, "y": y + i // columns * height, "w": width, "h": height}
            out.append(panel(len(out) + 1, spec, place))
        y += -(-len(specs) // columns) * height
    return out


def variable(name: str, label: str, query: str) -> dict:
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name}, "definition": query,
            "refresh": 2, "includeAll": True, "multi": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}


def dashboard() -> dict:
    return {
        "uid": "pegainfer", "title": "pegainfer", "description": "An LLM server: latency, load, cache and errors.",
        "tags": ["llm", "inference"], "schemaVersion": 38, "version": 1, "editable": True, "graphTooltip": 1, "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": [
            {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}},
            variable("model_name", "Model", "label_values(vllm:num_requests_running, model_name)"),
            variable("instance", "Instance", 'label_values(vllm:num_requests_running{model_name=~"$model_name"}, instance)'),
        ]},
        "panels": panels(),
    }


def main() -> int:
    text = json.dumps(dashboard(), indent=1) + "\n"
    if "--check" not in sys.argv[1:]:
        PATH.write_text(text, encoding="utf-8")
        return 0
    if PATH.exists() and PATH.read_text(encoding="utf-8") == text:
        return 0
    print(f"{PATH} is not what tools/make_dashboard.py writes: run it", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
