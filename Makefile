# Everything runs in .venv, which the first target that needs it makes from the lock file.
PY  := .venv/bin/python
OK  := .venv/.ready
BIN := .venv/bin

.PHONY: demo test test-slow test-engines models check bench bench-engines format lock clean

demo: $(OK)
	@$(PY) -m apps.customer_service.demo

test: $(OK) models
	@# Two files at a time, a core each. What failed is run again with the machine to itself, where
	@# it has to pass: some tests have real seconds in them.
	$(PY) -m pytest -n 2 --dist loadfile || { echo "== what failed, once more"; \
	  $(PY) -m pytest --last-failed --last-failed-no-failures none; }

test-slow: $(OK) models
	$(PY) -m pytest -m slow

# Each heavy engine in .venv-engines/NAME. Some only: make test-engines ENGINES="openvino ollama"
test-engines: $(OK) models
	$(PY) -m tests.contract.run $(ENGINES)

models: $(OK)
	@$(BIN)/edgewright models pull qwen2.5-coder-0.5b smollm2-135m all-minilm-l6-v2

check: $(OK)
	$(BIN)/ruff format --check .
	@# Without its cache, which keeps saying yes to a file whose import has since gone.
	$(BIN)/ruff check --no-cache .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(OK) models
	$(PY) -m benchmarks.run
	$(PY) -m benchmarks.acting
	$(PY) -m benchmarks.lookup
	$(PY) -m benchmarks.retrieval
	$(PY) -m benchmarks.ablation
	$(PY) -m benchmarks.residency
	$(PY) -m benchmarks.memory
	$(PY) -m benchmarks.warm
	$(PY) -m benchmarks.engines

# The engines' part alone, in their environments (as make test-engines makes them).
bench-engines: $(OK) models
	$(PY) -m benchmarks.engines

format: $(OK)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(OK): requirements.lock pyproject.toml
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "edgewright needs Python 3.11 or newer; python3 is $$(python3 --version)."; exit 1; }
	@echo "Setting up .venv (once, about a minute) ..."
	@test -x $(PY) || python3 -m venv .venv
	@# On a terminal pip shows its progress; in a log it is quiet.
	@test -t 1 || quiet=-qq; pip="$(PY) -m pip install $$quiet --disable-pip-version-check"; \
	  $$pip --require-hashes -r requirements.lock && $$pip --no-deps --no-build-isolation -e .
	@touch $@

# The lock names no index: pip takes the files from the one it is set up for, and checks the hashes.
lock: $(OK)
	$(PY) -m pip install -qq uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-annotate -o requirements.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
