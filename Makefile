# A thin front for scripts/setup.sh, CMake and ctest; CMakeLists.txt holds the build itself.
#
#   make           install what is missing, build mtrain, mconvert and mprep, link them here
#   make demo      train a small Qwen3 on 4 ranks, save, convert and evaluate it
#   make test      build everything and run the test suite   (ARGS="-L unit": part of it)
#   make format    format all C++ files
#   make pages     write the generated pages of docs/ anew: deck.md, coming-from.md, errors.md
#   make bench     build and run the benchmarks in tests/bench
#   make setup     install what is missing, and nothing else
#   make clean     remove what was built; .deps/ with the downloads stays
#
#   BUILD=cpu      what to build: cpu (default), debug, or cuda (needs nvcc 13)
#   CUDA_ARCH=90   GPU architectures of BUILD=cuda, as CMake names them: "90", "90;100"
#   PACKAGES=no    install no Debian packages: compiler, MPI, HDF5 ... come from elsewhere
#   JOBS=N         compile jobs at a time (default: what cores and memory allow)

BUILD ?= cpu
PACKAGES ?= yes
JOBS ?= $(shell scripts/build_jobs)
ARGS ?=
CUDA_ARCH ?= 90

folder_cpu   := build
folder_debug := build-debug
folder_cuda  := build-cuda
options_cpu   := -DCMAKE_BUILD_TYPE=Release
options_debug := -DCMAKE_BUILD_TYPE=Debug
options_cuda  := -DCMAKE_BUILD_TYPE=Release -DMTRAIN_CUDA=ON "-DCMAKE_CUDA_ARCHITECTURES=$(CUDA_ARCH)"
folder := $(folder_$(BUILD))
ifeq ($(folder),)
  $(error BUILD=$(BUILD) is unknown: use cpu, debug or cuda)
endif

.PHONY: all demo test format pages bench setup clean help programs everything can_build

all: programs
	@echo "mtrain, mconvert and mprep are ready ($(folder)/bin). Next: make demo"

link_programs = for p in $(folder)/bin/*; do if [ -e "$$p" ]; then ln -sfn "$$p" .; fi; done

programs: $(folder)/build.ninja
	@cmake --build $(folder) --parallel $(JOBS) --target programs
	@$(link_programs)

everything: $(folder)/build.ninja
	@cmake --build $(folder) --parallel $(JOBS)
	@$(link_programs)

demo: programs
	@scripts/demo.sh

test: everything
	@ctest --test-dir $(folder) --output-on-failure --parallel $(shell nproc) $(ARGS)

bench: everything
	@tests/bench/run.sh $(folder)

format: setup
	@python3 -B tests/style/check_format.py --fix

pages: programs
	@./mtrain --dump-reference >docs/deck.md
	@./mtrain --dump-coming-from >docs/coming-from.md
	@python3 -B tests/style/check_errors.py --fix

# ninja itself runs cmake again when a CMake file changes.
$(folder)/build.ninja: | setup
	@cmake -S . -B $(folder) -G Ninja $(options_$(BUILD))

setup: | can_build
	@scripts/setup.sh $(if $(filter no,$(PACKAGES)),--no-packages) $(if $(filter cuda,$(BUILD)),--cuda)

can_build:
ifeq ($(BUILD),cuda)
	@command -v nvcc >/dev/null || { echo "make: BUILD=cuda needs nvcc of the CUDA toolkit 13 in PATH; use BUILD=cpu without" >&2; exit 1; }
endif

clean:
	rm -rf $(folder_cpu) $(folder_debug) $(folder_cuda)
	rm -f mtrain mconvert mprep

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile
