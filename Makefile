# Sessiongate. `make` lists what there is to do.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
FUZZTIME    ?= 1m
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# A release depends on the sources alone: the same commit gives the same bytes, wherever and whenever it is built.
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
ARCHS       ?= amd64 arm64
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
RELEASE     := CGO_ENABLED=0 GOFLAGS= go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.stamped=$(VERSION)"

.PHONY: help run build build-all man package reproducible package-test manifests test test-clients test-docs race redis browser latency bench bench-full fuzz lint fmt clean
.DEFAULT_GOAL := help

help: ### List the targets
	@awk -F ':.*### ' '/^[a-z-]+:.*### / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ### Run it: make run ARGS="--config sessiongate.yaml"
	go run . $(ARGS)

build: ### Build ./sessiongate
	go build -trimpath -o sessiongate .

build-all: ### Build a release for each of ARCHS="amd64 arm64" into dist/
	@for arch in $(ARCHS); do \
	  echo "dist/linux_$$arch/sessiongate $(VERSION)"; \
	  GOOS=linux GOARCH=$$arch $(RELEASE) -o dist/linux_$$arch/sessiongate .; \
	done

man: ### Write the manual page to dist/sessiongate.1
	@mkdir -p dist
	go run -ldflags "-X main.stamped=$(VERSION)" . man > dist/sessiongate.1

package: build-all ### Build Debian packages into dist/
	@rm -f dist/*.deb
	@$(RELEASE) -o dist/helper .
	@for arch in $(ARCHS); do \
	  HELPER=dist/helper deploy/debian/build.sh dist/linux_$$arch/sessiongate $$arch "$(VERSION)" dist; \
	done

reproducible: package ### Build the packages of this commit anew, elsewhere, and compare
	@elsewhere=$$(mktemp -d); trap 'rm -rf "$$elsewhere"' EXIT; \
	git clone -q . "$$elsewhere"; \
	$(MAKE) -C "$$elsewhere" package VERSION="$(VERSION)" >/dev/null; \
	for deb in dist/*.deb; do cmp "$$deb" "$$elsewhere/$$deb"; done; \
	sha256sum dist/*.deb

package-test: redis package ### As root on Debian: install the package, use it, remove it
	deploy/debian/test.sh dist/sessiongate_*_$$(dpkg --print-architecture).deb

manifests: ### Check the Kubernetes manifests against the schemas of Kubernetes
	cd deploy/kubernetes/check && go run . ..

test: redis ### Vet and run every test with the race detector, against a real redis-server
	go vet ./...
	go test -race -count 1 -timeout 20m ./...

test-clients: redis ### Point real clients and session libraries at it: make test-clients ARGS="-only ioredis -v"
	go run ./integration_test/clients $(ARGS)

test-docs: redis ### Run README and the recipes as they are printed: make test-docs ARGS="-only recipes/go"
	go run ./integration_test/pages $(ARGS)

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

bench-full: ### Measure docs/performance.md anew, 25 minutes: make bench-full ARGS="-only tls -quick"
	go run ./bench -full -rounds 5 -n 50000 $(ARGS)

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
