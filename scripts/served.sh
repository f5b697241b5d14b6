# Sourced by tests that ask a running server: the program built, an empty store in a folder of its own, and what to end when the
# script ends. Not a program.

cargo build --locked --quiet
folder=$(mktemp -d)
started=()
trap 'kill "${started[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
export OPENSHELF_STORE=$folder/store OPENSHELF_SCRATCH=$folder/scratch

# Ingests what the arguments say; what was printed is shown if it fails.
ingest() {
  target/debug/openshelf ingest "$@" >"$folder/ingest.log" 2>&1 || { cat "$folder/ingest.log"; exit 1; }
}

# Serves the store on a free port; sets `server` to the process and `url` to the address.
serve() {
  target/debug/openshelf serve --listen 127.0.0.1:0 --limits off >"$folder/server.log" 2>&1 &
  server=$!
  started+=("$server")
  for _ in $(seq 240); do
    url=$(sed -n 's/.*listening on \(http[^ ]*\).*/\1/p' "$folder/server.log" | head -1)
    url=${url%/}
    [ -z "$url" ] || return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.25
  done
  cat "$folder/server.log"
  echo "the server did not start" >&2
  exit 1
}
