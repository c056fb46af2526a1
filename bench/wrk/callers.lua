-- Reads lines of an id and, behind a tab, the header that proves who asks; empty where nobody does.
return function(path)
  local read = {}
  for line in io.lines(path) do
    local id, authorization = line:match("^(.-)\t(.*)$")
    local headers = {["Content-Type"] = "application/json"}
    if authorization ~= "" then
      headers["Authorization"] = authorization
    end
    read[#read + 1] = {id = id, headers = headers}
  end
  return read
end
