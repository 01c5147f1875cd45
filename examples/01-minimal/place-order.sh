#!/bin/sh
# Places one limit order with curl and openssl: place-order.sh [SYMBOL SIDE QUANTITY PRICE]
# With --show it places none and prints the address, the key and the command instead.
# CLUSTER names the cluster when there are several. The key is one named "demo", made at first use.
set -eu
cd "$(dirname "$0")/../.."
tradingctl=.venv/bin/tradingctl
cluster=${CLUSTER:-minimal}
key_file=build/demo-key-$cluster.json

field() { sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p' | head -n 1; }

status=$($tradingctl status --name "$cluster" -o json)
rest=$(printf '%s' "$status" | field rest)
websocket=$(printf '%s' "$status" | field websocket)
[ -n "$rest" ] || { echo "$cluster has no address yet; see: $tradingctl status" >&2; exit 1; }

make_key() {
  listed=$($tradingctl keys list --name "$cluster" -o json)
  api_key=""
  if [ -f "$key_file" ]; then api_key=$(field apiKey <"$key_file"); fi
  case "$listed" in *"\"${api_key:-none}\""*) return ;; esac
  case "$listed" in *'"name": "demo"'*)
    $tradingctl keys revoke demo --name "$cluster" >/dev/null ;;
  esac
  mkdir -p build
  (umask 077 && $tradingctl keys create demo --name "$cluster" --scopes read,trade -o json \
    >"$key_file")
}
make_key
api_key=$(field apiKey <"$key_file")
secret=$(field secret <"$key_file")

if [ "${1:-}" = --show ]; then
  cat <<END

REST       $rest/api/v3      WebSocket  $websocket/ws
API key    $api_key
Secret     $secret

Place an order:
  KEY=$api_key
  SECRET=$secret
  ORDER="symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=50000.00"
  ORDER="\$ORDER&timestamp=\$(date +%s)000"
  SIGNATURE=\$(printf %s "\$ORDER" | openssl dgst -sha256 -hmac "\$SECRET" | sed 's/.* //')
  curl -s -H "X-MBX-APIKEY: \$KEY" $rest/api/v3/order \\
    -d "\$ORDER&signature=\$SIGNATURE"
The same in one word: examples/01-minimal/place-order.sh      Stop: make down
END
  exit 0
fi

order="symbol=${1:-BTCUSDT}&side=${2:-BUY}&type=LIMIT&timeInForce=GTC"
order="$order&quantity=${3:-0.001}&price=${4:-50000.00}&timestamp=$(date +%s)000"
signature=$(printf %s "$order" | openssl dgst -sha256 -hmac "$secret" | sed 's/.* //')
curl -sS -H "X-MBX-APIKEY: $api_key" "$rest/api/v3/order" -d "$order&signature=$signature"
echo
