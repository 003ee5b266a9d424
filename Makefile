# Every command a person needs; bare `make` prints the menu. `.ci/ready` makes the machine ready, and is quick when it is.

PORT = 8080
python = .venv/bin/python
unexport PYTHONHOME PYTHONPATH   # what a shell has left over must not decide what is imported here

.PHONY: menu demo cheap quick test bench torture lock clean
menu:
	@echo "make demo      a company with tapes on the road (PORT=8090 SMTP=host:port ONCE=1)"
	@echo "make quick     the cheap checks and the core's tests, for work in between"
	@echo "make test      every check that CI makes, cheap ones first"
	@echo "make bench     the measurements"
	@echo "make torture   the long tests, which 'make test' leaves out"
	@echo "make lock      pin the requirements anew (UPGRADE=1 takes newer versions)"
	@echo "make clean     remove .venv, the demo's data and all caches"

demo:
	@.ci/ready demo
	@$(python) -m custody demo --out demo --port '$(PORT)' $(if $(ONCE),--once) $(if $(SMTP),--smtp '$(SMTP)')

cheap:
	@.ci/ready test
	@.ci/step ruff check
	@.ci/step ruff format --check
	@.ci/step lint-imports --no-logo
	@.ci/step mypy

quick: cheap
	@$(python) -m pytest -q -n 2 -m 'not torture' tests/core

test: cheap
	@$(python) -m pytest -n 2 -m 'not torture' tests/core --cov --cov-report=term
	@$(python) -m pytest -n 3 -m 'not torture' --ignore tests/core   # one more than cores: these wait a good deal

bench:
	@.ci/ready test
	@$(python) benchmarks/run.py

torture:
	@.ci/ready test
	@$(python) -m pytest -n 2 tests -m torture

lock:
	@.ci/lock $(if $(UPGRADE),--upgrade)

clean:
	rm -rf .venv .venv.old demo build dist .coverage .coverage.* .hypothesis .*_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
