#!/usr/bin/env bash
# Installs what the tests need beside Go and Node: a browser, fonts to draw Chinese with, and the database servers that
# departments run. Called by `make test`. Tests start servers of their own; Debian's are not left running.
set -euo pipefail

need=()
command -v chromium >/dev/null || need+=(chromium)
fc-list 2>/dev/null | grep -qi 'noto.*cjk' || need+=(fontconfig fonts-noto-cjk)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || need+=(postgresql)
[ -x /usr/sbin/mariadbd ] || need+=(mariadb-server)
if [ ${#need[@]} -eq 0 ]; then exit 0; fi

if ! command -v apt-get >/dev/null; then
  echo "the tests need: ${need[*]}; install them with your package manager" >&2
  [ "${CI:-}" != true ] || exit 1
  exit 0
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then sudo=sudo; fi
echo "installing for the tests: ${need[*]}"
if [ ! -e /usr/sbin/policy-rc.d ]; then # packages shall not start their services
  printf '#!/bin/sh\nexit 101\n' | $sudo tee /usr/sbin/policy-rc.d >/dev/null
  $sudo chmod +x /usr/sbin/policy-rc.d
  trap '$sudo rm -f /usr/sbin/policy-rc.d' EXIT
fi
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
