-- people(after, last, limit, bytes_max): users with numbers above `after`, ascending, as number, value, number, value ..
-- Looks at no more than 4,000 numbers. Second answer: the number up to which it looked.
local function people(after, last, limit, bytes_max)
  local found, bytes, n, to = {}, 0, 0, math.min(last, after + 4000)
  local at = after
  while at < to and n < limit and bytes < bytes_max do
    -- In slices: a profile may be of some MiB.
    local keys = {}
    for i = at + 1, math.min(to, at + math.min(limit - n, 16)) do
      keys[#keys + 1] = P .. 'u:' .. pack('>I5', i)
    end
    local values = redis.call('MGET', unpack(keys))
    for i = 1, #values do
      if bytes >= bytes_max then
        break
      end
      at = at + 1
      if values[i] then
        found[#found + 1] = pack('>I5', at)
        found[#found + 1] = values[i]
        n = n + 1
        bytes = bytes + #values[i]
      end
    end
  end
  return found, at
end
