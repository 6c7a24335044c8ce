"""lm-evaluation-harness over local-completions: a task of passages whose log-probabilities transformers has given, too
(tests/golden); the harness must find the same scores."""

import json
import math
import pathlib
import sys
import tempfile

import lm_eval
from lm_eval.tasks import TaskManager
from server_under_test import BASE, MODEL, TOKENIZER
from transformers import AutoTokenizer

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden" / "smollm2-135m-instruct-q4_1.json"
# Nats a token between quantized weights and float32 arithmetic on the dequantized ones: the limit of tests/golden.
LIMIT = 0.06

TASK = """
task: passages
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
output_type: loglikelihood
test_split: test
doc_to_text: "{{context}}"
doc_to_target: "{{continuation}}"
target_delimiter: ""
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""


def split(tokenizer, case: dict) -> dict | None:
    """The passage in two, where its tokens part as well and the harness has no space to move."""
    ids, text = case["ids"], case["text"]
    for k in range(len(ids) // 2, len(ids) - 8):
        context, continuation = tokenizer.decode(ids[:k]), tokenizer.decode(ids[k:])
        clean = context + continuation == text and context == context.rstrip()
        if clean and tokenizer.encode(context) == ids[:k] and tokenizer.encode(text) == ids:
            return {"context": context, "continuation": continuation, "expected": sum(case["logprobs_f32"][k - 1:]), "num_tokens": len(ids) - k}
    return None


def main() -> None:
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    cases = [split(tokenizer, case) for case in json.loads(GOLDEN.read_text())["prompts"] if len(case["ids"]) > 100]
    cases = [case for case in cases if case]
    assert len(cases) >= 6, f"only {len(cases)} passages are tokenized as the reference has them"
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "passages.jsonl"
        data.write_text("".join(json.dumps(case) + "\n" for case in cases))
        (pathlib.Path(folder) / "passages.yaml").write_text(TASK % data)
        arguments = f"model={MODEL},base_url={BASE}/completions,tokenizer={TOKENIZER},tokenized_requests=True,num_concurrent=2,max_length=4096"
        results = lm_eval.simple_evaluate(model="local-completions", model_args=arguments, tasks=["passages"], log_samples=True, bootstrap_iters=0,
                                          task_manager=TaskManager(include_path=folder))
    samples = sorted(results["samples"]["passages"], key=lambda sample: sample["doc_id"])
    assert len(samples) == len(cases)
    worst = 0.0
    for case, sample in zip(cases, samples):
        score = float(sample["filtered_resps"][0][0])
        worst = max(worst, abs(score - case["expected"]) / case["num_tokens"])
    found = results["results"]["passages"]["perplexity,none"]
    expected = math.exp(-sum(case["expected"] for case in cases) / len(cases))
    assert worst < LIMIT, f"{worst:.4f} nats a token from transformers' score"
    mean_tokens = sum(case["num_tokens"] for case in cases) / len(cases)
    drift = abs(math.log(found / expected)) / mean_tokens
    assert drift < LIMIT, f"perplexity {found:.5g}, transformers' {expected:.5g}"
    print(f"{len(cases)} passages: at most {worst:.4f} nats a token from transformers, {drift:.4f} over all")


if __name__ == "__main__":
    sys.exit(main())
