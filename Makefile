# make demo   the whole pool on a private regtest network: real bitcoind, real Lightning nodes, a CPU miner
#             (ONCE=1 ends by itself after a withdrawal and an on-chain batch; JSON=out.json writes the report)
# make test   lint, types, import contracts and all tests, with real nodes
# make simulate   what the reward scheme promises, by formula and by simulation, beside the published numbers
#             (SEED=… for other random numbers, JSON=out.json writes them)
# make venv   the `sluice` command in .venv/bin
# make coverage   the same tests once more, and which lines and branches they reach: a third slower
# make fuzz   coverage-guided fuzzing of the miners' door (SECONDS=600 goes on for longer than a minute)
# Each does all its own set-up: a virtual environment here, binaries in ~/.cache/sluice, nothing on the system.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready

.PHONY: venv demo simulate test coverage lint unit regtest fuzz clean

venv: $(READY)

demo: $(READY)
	@$(VENV)/bin/sluice demo $(if $(ONCE),--once) $(if $(JSON),--json "$(JSON)")

simulate: $(READY)
	@$(VENV)/bin/python -m pool.simulate $(if $(SEED),--seed $(SEED)) $(if $(JSON),--json >"$(JSON)")

test: lint
	@# one more than two cores: many tests wait for nodes; a file's tests stay together, with their rig
	@$(VENV)/bin/pytest -n 3 --dist loadfile --durations=10

coverage: $(READY)
	@$(VENV)/bin/pytest -n 3 --dist loadfile --cov --cov-report=term
	@# the pure cores once more by themselves: their branch coverage is what their tests promise
	@$(VENV)/bin/coverage report --include='stratum/shares.py,stratum/session.py,stratum/wire.py,stratum/vardiff.py,stratum/units.py,stratum/extranonce.py,stratum/jobs.py,pool/rewards/*,pool/ledger/*,pool/proof/*,pool/shares.py,pool/chain/template.py,pool/chain/coinbase.py,pool/chain/block.py,payouts/money.py,payouts/payment.py,payouts/planner.py,payouts/invoice.py,payouts/lnurl.py,payouts/terms.py'

lint: $(READY)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check -q .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

unit: $(READY)
	@$(VENV)/bin/pytest -m 'not regtest and not browser'

regtest: $(READY)
	@$(VENV)/bin/pytest -m regtest

fuzz: $(READY)
	@$(VENV)/bin/python -c 'import atheris' 2>/dev/null || \
	  $(VENV)/bin/pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@$(VENV)/bin/python -m tests.fuzz $(or $(SECONDS),60)

$(READY): setup.cfg pyproject.toml setup.py stratum/_sha256d.c
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "sluice: Python 3.11 or newer is needed: apt-get install python3, or name one with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "sluice: Python's venv is missing: apt-get install python3-venv" >&2; exit 1; }
	@echo "Making the virtual environment $(VENV) (once, about a minute) …"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable '.[dev,demo]'
	@touch $(READY)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage *.egg-info build
