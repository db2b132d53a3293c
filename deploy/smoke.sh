#!/usr/bin/env bash
# Submits a job and waits for its result. Give API_URL, and FUNCTION_APP and RESOURCE_GROUP to take the
# key from Azure, or KEY, or neither where no key is asked for. With Entra in front of the API, give
# ENTRA_RESOURCE (api://CLIENT_ID), for which az gets a token, or TOKEN.
set -euo pipefail
if [[ -n ${FUNCTION_APP:-} ]]; then
  KEY=$(az functionapp keys list --name "$FUNCTION_APP" --resource-group "$RESOURCE_GROUP" \
    --query functionKeys.default --output tsv)
  if [[ -n ${GITHUB_ACTIONS:-} ]]; then echo "::add-mask::$KEY"; fi
fi
if [[ -n ${ENTRA_RESOURCE:-} ]]; then
  TOKEN=$(az account get-access-token --resource "$ENTRA_RESOURCE" --query accessToken --output tsv)
  if [[ -n ${GITHUB_ACTIONS:-} ]]; then echo "::add-mask::$TOKEN"; fi
fi
body='{"type":"report","input":{"data":"city,price\nDelft,10\nGouda,7\n","groupBy":["city"]}}'
# A new app may need a minute until its roles have spread and its first instance runs.
for try in $(seq 1 "${TRIES:-20}"); do
  answer=$(curl --silent --show-error --max-time 60 --write-out '\n%{http_code}' "$API_URL/jobs" \
    --header 'content-type: application/json' --header 'prefer: wait=45' \
    --header "x-functions-key: ${KEY:-}" ${TOKEN:+--header "authorization: Bearer $TOKEN"} --data "$body" || true)
  status=${answer##*$'\n'}
  if [[ $status == 200 && $answer == *'"succeeded"'* ]]; then
    echo "A job ran: ${answer%$'\n'*}"
    exit 0
  fi
  echo "try $try: ${answer:-no answer}" >&2
  sleep "${PAUSE:-10}"
done
echo "No job ran at $API_URL." >&2
exit 1
