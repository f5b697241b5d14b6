-- For wrk: asks for the paths of a file, one after the other from a given line on, and says at the end what came of it.
--   wrk … -s paths.lua URL -- FILE FIRST [POST-PATH]
-- With a POST-PATH the lines are bodies, all sent there.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  wrapped = 0
  lines, at, post = {}, tonumber(args[2]), args[3]
  for line in io.lines(args[1]) do
    lines[#lines + 1] = line
  end
  at = at % #lines
  from = at
end

function request()
  at = at + 1
  if at > #lines then
    at = 1
  end
  if at == from then
    wrapped = wrapped + 1
  end
  if post then
    return wrk.format("POST", post, { ["Content-Type"] = "text/plain" }, lines[at])
  end
  return "GET " .. lines[at] .. " HTTP/1.1\r\nHost: " .. wrk.host .. "\r\n\r\n"
end

function done(summary, latency)
  local wrapped = 0
  for _, thread in ipairs(threads) do
    wrapped = wrapped + thread:get("wrapped")
  end
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.6f,"bytes":%d,"p50":%.1f,"p99":%.1f,"max":%.1f,"refused":%d,"broken":%d,"wrapped":%d}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout, wrapped))
end
