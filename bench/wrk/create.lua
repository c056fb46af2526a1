-- Creates checkouts, each with a key of its own. Arguments: a prefix for the keys, and a file of merchants:
-- a line each, the id and, behind a tab, the header that proves it.
require("report")
local callers_of = require("callers")

local prefix, merchants
local count = 0
local body = '{"merchantId":"%s","amount":1000,"currency":"USD","idempotencyKey":"%s%d"}'

function init(arguments)
  prefix = arguments[1]
  merchants = callers_of(arguments[2])
end

function request()
  count = count + 1
  local merchant = merchants[count % #merchants + 1]
  return wrk.format("POST", "/checkouts", merchant.headers, body:format(merchant.id, prefix, count))
end
