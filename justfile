# The tasks of this repository. `just` lists them; `just ci` runs all that continuous integration runs, in the same order.

set shell := ["bash", "-euo", "pipefail", "-c"]

export CARGO_TERM_COLOR := env("CARGO_TERM_COLOR", "never")

[private]
default:
    @just --list --unsorted

# Run the server on its private PostgreSQL
run *ARGS:
    cargo run -- {{ARGS}}

# Run all tests
test *ARGS:
    cargo test --workspace {{ARGS}}

# Run the tests of one target and name, for example `just one runner pooler`
one TARGET *NAME:
    cargo test --workspace --test {{TARGET}} {{NAME}}

# Format all code
fmt:
    cargo fmt --all

# Fail if code is not formatted
fmt-check:
    cargo fmt --all --check

# Fail if a crate has a forbidden dependency
dependency-rules:
    .ci/dependency-rules

# Fail on licences, sources and duplicate versions of dependencies that deny.toml does not allow
deny:
    cargo deny check bans licenses sources

# Run clippy with warnings denied
clippy:
    cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

# Build the documentation with warnings denied
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features --locked

# The tests whose outcome may depend on the version of PostgreSQL: its catalogs, how it resolves SQL, the private cluster.
version_tests := "check:: contracts:: data_apart:: schemas:: existing_database:: external_database:: foreign_tables:: functions:: hardening:: periods:: private:: reader:: repeatable:: replicas:: runner::changing:: sandbox:: schema:: tenants::policies:: types:: validate::"

# Run the tests that may depend on the version of PostgreSQL, on each of VERSIONS
test-versions *VERSIONS="16 17 18":
    # These builds have no translations.
    for version in {{VERSIONS}}; do env -u METRICD_TEST_LC_MESSAGES .ci/postgres-version $version cargo test --workspace --no-fail-fast --test postgres --test runner --test system -- {{version_tests}}; done

# Run README's quick start and its requests
quick-start:
    .ci/quick-start

# Run metricd behind PgBouncer in transaction mode
pooler:
    .ci/pooler

# Validate the OpenAPI documents, fuzz the API from them, and compile generated clients
openapi:
    .ci/openapi

# Read results in every format with pandas, Polars, DuckDB, PyArrow and openpyxl
formats:
    .ci/formats

# Compare schema.rs with what Diesel generates from the migrations
schema:
    .ci/schema

# Feed mutated SQL to the guard for SECONDS
fuzz SECONDS="60":
    .ci/fuzz {{SECONDS}}

# Measure metricd next to PostgreSQL and the web server alone
bench *ARGS:
    cargo run --release -p metricd-bench -- {{ARGS}}

# Rewrite the snapshots of all tests; review the difference before you commit it
snapshots:
    INSTA_UPDATE=always METRICD_UPDATE_GOLDEN=1 cargo test --workspace

# Rewrite the generated lists in docs/guard.md
lists:
    METRICD_UPDATE_LISTS=1 cargo test --workspace --test guard lists::

# Run all that continuous integration runs, and print how long each recipe takes
ci:
    #!/usr/bin/env bash
    set -euo pipefail
    times=
    run() {
        printf '\n== %s\n' "$*"
        local began=$SECONDS
        {{just_executable()}} "$@"
        times+="$((SECONDS - began)) s $*"$'\n'
    }
    for recipe in fmt-check dependency-rules deny clippy doc test; do run "$recipe"; done
    # `test` has run on the installed version: the first that metricd finds.
    installed=$(PATH=$PATH:$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV | paste -sd :) postgres --version)
    times=${times%$'\n'}", on $installed"$'\n'
    for version in 15 16 17 18; do
        [[ $installed == *" $version."* ]] || run test-versions "$version"
    done
    # These wait more than they compute, so they run at once. While one of them builds the program, others get their tools.
    began=$SECONDS
    declare -A processes
    for recipe in quick-start pooler openapi formats schema; do
        {{just_executable()}} "$recipe" >"target/ci-$recipe.log" 2>&1 &
        processes[$recipe]=$!
    done
    failed=
    for recipe in quick-start pooler openapi formats schema; do
        wait "${processes[$recipe]}" || failed+=" $recipe"
        printf '\n== %s\n' "$recipe"
        cat "target/ci-$recipe.log"
    done
    times+="$((SECONDS - began)) s quick-start, pooler, openapi, formats and schema at once"$'\n'
    printf '\n%s' "$times"
    [ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
