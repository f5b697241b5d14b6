-- For wrk: asks for stretches of one file, and says at the end what came of it.
--   wrk … -s ranges.lua URL -- SIZE LENGTH SEED
-- LENGTH 0 asks for the whole file each time.
function init(args)
  size, length = tonumber(args[1]), tonumber(args[2])
  math.randomseed(tonumber(args[3]))
end

function request()
  if length == 0 then
    return wrk.format("GET")
  end
  local from = math.random(0, size - length)
  return wrk.format("GET", nil, { ["Range"] = string.format("bytes=%d-%d", from, from + length - 1) })
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.6f,"bytes":%d,"p50":%.1f,"p99":%.1f,"failed":%d}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50), latency:percentile(99),
    errors.status + errors.connect + errors.read + errors.write))
end
