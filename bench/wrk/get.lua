-- Reads checkouts in turn. Argument: a file of checkouts: a line each, the id and, behind a tab, its merchant's header.
require("report")
local callers_of = require("callers")

local requests = {}
local count = 0

function init(arguments)
  for _, checkout in ipairs(callers_of(arguments[1])) do
    checkout.headers["Content-Type"] = nil
    requests[#requests + 1] = wrk.format("GET", "/checkouts/" .. checkout.id, checkout.headers)
  end
end

function request()
  count = count + 1
  return requests[count % #requests + 1]
end
