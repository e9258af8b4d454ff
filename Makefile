# Shire: the county node. `make run` and `make test` do all their own set-up.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0-dev)
GO      ?= go
# Go's own library has vulnerabilities too: the Go that go.mod names is fetched where the installed one is older. Where it cannot be had, the installed one builds.
export GOTOOLCHAIN := $(shell GOTOOLCHAIN=auto $(or $(GO),go) version >/dev/null 2>&1 && echo auto || echo local)
ENGINE  := deploy/embedded/engine
WEB     := portal/web
STAMP   := .package-lock.json
BIN     := bin/shire
GOFILES := $(shell find cmd connectors deploy jobs pipeline portal schemas -name '*.go' -o -name '*.sql' -o -name '*.yaml' -o -name '*.tmpl' 2>/dev/null | grep -v node_modules)

.PHONY: help run test check vuln bench torture build clean engine web fmt

help: ## List what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

run: build ## Set everything up and run the demo county, portal on http://127.0.0.1:8080
	$(BIN) demo

test: build ## Set everything up and pass the tests
	deploy/testing/install.sh
	cd $(WEB) && npm test
	CI=$${CI:-} GORACE="$${GORACE:-atexit_sleep_ms=20}" $(GO) test -timeout 25m $(TESTFLAGS) ./...

check: build ## Formatting, static analysis, and the shipped configurations
	@test -z "$$(gofmt -l cmd connectors deploy jobs pipeline portal schemas)" || { gofmt -l cmd connectors deploy jobs pipeline portal schemas; echo 'run: make fmt'; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	cd $(WEB) && npm run check
	$(BIN) check -c docs/examples/receipt/county.yaml

vuln: ## Look for known vulnerabilities in what is called; says so when it cannot look
	GO=$(GO) .ci/vuln

torture: build ## Kill everything for MINUTES (10) while departments write, then compare row by row
	deploy/testing/install.sh
	SHIRE_TORTURE_MINUTES=$${MINUTES:-10} $(GO) test ./cmd/shire -run 'TestTorture$$' -v -count 1 -timeout 24h

bench: build ## Measure beside peers and physical limits; writes docs/benchmarks.md
	$(GO) run ./cmd/bench

build: engine web $(BIN) ## Build bin/shire with its engine and its portal

engine: $(ENGINE)/node_modules/$(STAMP) ## Fetch the embedded ClickHouse

web: $(WEB)/dist/index.html ## Build the portal's web application

fmt: ## Format the Go code
	gofmt -w cmd connectors deploy jobs pipeline portal schemas

clean: ## Remove what was built and the demo's data
	rm -rf bin data $(WEB)/dist/assets $(WEB)/dist/index.html $(WEB)/node_modules $(ENGINE)/node_modules

$(ENGINE)/node_modules/$(STAMP): $(ENGINE)/package.json $(ENGINE)/package-lock.json
	@if [ "$$(uname -sm)" = "Linux x86_64" ]; then cd $(ENGINE) && npm ci; else \
	  echo 'the embedded ClickHouse is for Linux on x86-64; set SHIRE_CLICKHOUSE_LIB or an external clickhouse: address'; \
	  mkdir -p $(@D); fi
	@touch $@

$(WEB)/node_modules/$(STAMP): $(WEB)/package.json $(WEB)/package-lock.json
	cd $(WEB) && npm ci
	@touch $@

$(WEB)/dist/index.html: $(WEB)/node_modules/$(STAMP) $(shell find $(WEB)/src $(WEB)/index.html $(WEB)/vite.config.ts -type f 2>/dev/null)
	cd $(WEB) && npm run build
	@touch $@

$(BIN): $(GOFILES) go.mod go.sum $(WEB)/dist/index.html
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $@ ./cmd/shire
