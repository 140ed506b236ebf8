# Every target works on a fresh machine with python3 and make: it sets up what it needs.
# Chromium, nginx and the like are installed from the system's packages where that is allowed (see .ci/tools).
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
DATA ?= .data
QUICK := not slow and not browser
LINT := $(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache && $(BIN)/vulture
# Bytecode is kept, with us: to compile everything for each run and each service that a test starts costs minutes.
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/bytecode

.PHONY: run test check more test-ha bench soak format requirements tools clean

run: $(VENV)/.run
	$(BIN)/gateway serve --dev --port $(PORT) --data $(DATA)

# More workers than a machine has processors: many tests wait. Of a slow test with a long table some rows from all of it:
# `make soak` takes the others. Lint runs beside them and is told behind them, as in `check`; packages of Python and of the
# system are fetched at once. A test that hangs is ended with the stacks of its threads.
test: $(VENV)/bin/python
	@$(MAKE) --no-print-directory -j2 $(VENV)/.test tools
	@($(LINT)) > $(VENV)/lint.txt 2>&1 & lint=$$!; \
	$(BIN)/pytest tests --workers 4 -o faulthandler_timeout=900 -o faulthandler_exit_on_timeout=true; tests=$$?; \
	wait $$lint; linted=$$?; cat $(VENV)/lint.txt; test $$tests -eq 0 && test $$linted -eq 0

# The loop of whoever writes, a minute on two free cores: tests that are not slow, on the first row of their table,
# properties with a tenth of their examples; of each file's tests that open an installation one of fifteen, of a file that
# was changed all. `more`, before a commit is handed on, takes all of each file, in four minutes; `make test` more rows, more
# examples and the slow tests. Four at once, for some wait. What lint finds is told behind the tests, beside which it runs.
check more: $(VENV)/.test
	@($(LINT)) > $(VENV)/lint.txt 2>&1 & lint=$$!; \
	QUICK=$(if $(filter more,$@),2,1) $(BIN)/pytest tests --workers 4 -m "$(QUICK)" -p no:schemathesis; tests=$$?; \
	wait $$lint || { cat $(VENV)/lint.txt; exit 1; }; exit $$tests

.PHONY: lint
lint: $(VENV)/.test
	$(LINT)

format: $(VENV)/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Two tables, of asking and of writing, each row beside its bar.
bench: $(VENV)/.test
	@sh .ci/tools wrk:wrk
	$(BIN)/python tests/bench/bars.py $(FOLDER)
	PYTHONPATH=tests:. $(BIN)/python tests/bench/writing_bench.py

# Longer runs of whatever has a longer form than in `test`: machines and faults for longer, each row of the long tables,
# each property with forty times its examples; with the same seeds, so that a fault comes again. FUZZ_SECONDS=3600 fuzzes for
# an hour instead of ten minutes. One table at the end.
soak: $(VENV)/.test tools
	SOAK=1 $(BIN)/pytest -v --workers 4 tests

# Three machines with etcd, Patroni and PostgreSQL in network namespaces, a gateway before them, and leaders that fail
# twenty times; a quarter of an hour, as root. HA_ROUNDS=1 makes each failure once.
test-ha: $(VENV)/.test
	@sh .ci/tools etcd:etcd-server "patroni:patroni python3-etcd" ip:iproute2
	HA=1 $(BIN)/pytest tests/ha -p no:cacheprovider

# What is owed (law, rules, defence), and by how many tests each is proved.
requirements: $(VENV)/.run
	@$(BIN)/python tests/support/requirements_table.py

# The programs that tests drive, from the system's packages; a machine that does not let us skips them by name.
tools:
	@sh .ci/tools

$(VENV)/bin/python:
	python3 -m venv $(VENV) || { \
	  command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -y -q python3-venv \
	  && rm -rf $(VENV) && python3 -m venv $(VENV); }

$(VENV)/.run: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python .ci/groups > $(VENV)/groups.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -r $(VENV)/groups.txt
	touch $@

clean:
	rm -rf $(VENV) $(DATA)
