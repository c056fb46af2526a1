-- Reads checkouts in turn. Argument: a file with an id a line.
require("report")

local requests = {}
local count = 0

function init(arguments)
  for id in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("GET", "/checkouts/" .. id)
  end
end

function request()
  count = count + 1
  return requests[count % #requests + 1]
end
