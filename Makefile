# Sessiongate. `make` lists what there is to do.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
FUZZTIME    ?= 1m
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help run build test race redis browser latency bench fuzz lint fmt clean
.DEFAULT_GOAL := help

help: ### List the targets
	@awk -F ':.*### ' '/^[a-z]+:.*### / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ### Run it: make run ARGS="--config sessiongate.yaml"
	go run . $(ARGS)

build: ### Build ./sessiongate
	go build -trimpath -o sessiongate .

test: redis ### Vet and run every test with the race detector, against a real redis-server
	go vet ./...
	go test -race -count 1 -timeout 20m ./...

race: redis ### Run the tests ten times over, in random order, to find what only happens sometimes
	go test -race -timeout 100m -count 10 -shuffle on ./...

redis: # redis-server and redis-cli, which the tests drive, installed where they are missing
	@missing=; \
	for tool in redis-server redis-cli redis-benchmark; do \
	  command -v $$tool >/dev/null || missing="$$missing $$tool"; \
	done; \
	[ -z "$$missing" ] && exit 0; \
	echo "installing$$missing"; \
	if ! command -v apt-get >/dev/null; then \
	  echo "The tests need$$missing. Install Redis 7.0 or later and run this again." >&2; exit 1; \
	fi; \
	root=; \
	if [ "$$(id -u)" != 0 ]; then \
	  if ! root=$$(command -v sudo); then \
	    echo "The tests need$$missing. As root: apt-get install redis-server redis-tools" >&2; exit 1; \
	  fi; \
	fi; \
	{ $$root apt-get update -q && \
	  $$root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends redis-server redis-tools; } </dev/null || { \
	  echo "The tests need$$missing and apt-get could not install them (see above)." >&2; exit 1; \
	}

browser: redis ### Click through the dashboard in Chromium: needs chromium; DASHBOARD_PICTURES=directory keeps pictures
	go test -tags browser -count 1 -run Dashboard ./integration_test

latency: redis ### Measure a deep pipeline through a slow network, with the gate and without
	go test -run '^$$' -bench Latency -benchtime 10x ./integration_test

bench: ### Compare with Redis and twemproxy: make bench ARGS="-rounds 5"
	go run ./bench $(ARGS)

fuzz: ### Fuzz every parser, each for FUZZTIME=1m
	@go list ./... | while read -r package; do \
	  go test -list '^Fuzz' "$$package" | { grep '^Fuzz' || true; } | while read -r target; do \
	    echo "$$package $$target"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null; \
	  done; \
	done

lint: ### gofmt, vet, staticcheck, and imports that point one way
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:" $$unformatted >&2; exit 1; fi
	go vet ./...
	go run $(STATICCHECK) ./...
	go test -count 1 -run Arrows ./integration_test

fmt: ### gofmt everything
	gofmt -w .

clean: ### Remove what was built
	rm -rf sessiongate dist
	go clean -testcache
