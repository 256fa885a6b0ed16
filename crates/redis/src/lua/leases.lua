-- Leases. What one claim took is one string, `l:<fence>`: format 1, when it was claimed (6), how many sends (1), a byte for each of them, 1
-- while it is leased, else 0; then the sends lane by lane: lane (9), revision to apply (3), how many (1), their cores as they lay there.
-- `lease` has the fences (7 bytes) by when they run out; a lease is named by fence and place in the claim (1).

-- States by place, from 1 on; nothing where the claim is over.
local function states_of(fence)
  local head = call('GETRANGE', 'l:' .. fence, 0, 135)
  local n = byte(head) == 1 and byte(head, 8)
  return n and #head >= 8 + n and { byte(head, 9, 8 + n) } or nil
end

local function write_states(fence, states)
  local left = 0
  for i = 1, #states do
    left = left + states[i]
  end
  if left == 0 then
    call('DEL', 'l:' .. fence)
    call('ZREM', 'lease', fence)
  else
    call('SETRANGE', 'l:' .. fence, 8, char(unpack(states)))
  end
end

-- Calls f(place from 1 on, lane, revision, core) for what is leased in a claim's bytes, in order; answers whether they can be read.
local function each_lease(bytes, f)
  local n = byte(bytes) == 1 and byte(bytes, 8)
  if not n or #bytes < 8 + n then
    return false
  end
  local at, place = 9 + n, 1
  while at <= #bytes do
    local lane, revision, count = sub(bytes, at, at + 8), sub(bytes, at + 9, at + 11), byte(bytes, at + 12) or 0
    at = at + 13
    if count == 0 or #bytes < at + 31 * count - 1 or place + count - 1 > n then
      return false
    end
    for _ = 1, count do
      if byte(bytes, 8 + place) == 1 then
        f(place, lane, revision, sub(bytes, at, at + 30))
      end
      at, place = at + 31, place + 1
    end
  end
  return place == n + 1
end
