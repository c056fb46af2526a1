-- Sends one and the same create again and again. Arguments: its key, and a file of merchants, of whom the first asks.
require("report")
local callers_of = require("callers")

local same

function init(arguments)
  local merchant = callers_of(arguments[2])[1]
  local body = '{"merchantId":"%s","amount":1000,"currency":"USD","idempotencyKey":"%s"}'
  same = wrk.format("POST", "/checkouts", merchant.headers, body:format(merchant.id, arguments[1]))
end

function request()
  return same
end
