#!lua flags=allow-oom
-- Takes back sends whose lease ran out: to the front of their lanes, one more redelivery.
-- KEYS   the shard's tag
-- ARGV   limit, redeliveries at most
-- reply  time, sends taken back, then members that reached the bound, still leased, each with its user's profile: to be settled as
--        abandoned by the caller, who alone can write their log rows
-- bound  100 leases, about 3 us each
local limit, redeliveries_max = num(), num()
local out = call('ZRANGEBYSCORE', 'lease', '-inf', t, 'LIMIT', 0, limit)
local back, reply = {}, { t, 0 }
for i = #out, 1, -1 do
  local m = out[i]
  if #m ~= 48 or byte(m, 18) ~= 1 or byte(m, 17) > 2 then
    call('ZREM', 'lease', m)
    bad('lease', m)
  elseif byte(m, 44) + 1 >= redeliveries_max then
    reply[#reply + 1] = m
    reply[#reply + 1] = call('GET', 'u:' .. sub(m, 20, 24))
  else
    back[#back + 1] = m
  end
end
local let_go = false
for i = 1, #back do
  local m = back[i]
  call('ZREM', 'lease', m)
  local core = sub(m, 18, 43) .. char(byte(m, 44) + 1) .. sub(m, 45)
  if call('LPUSH', 'q:' .. sub(m, 9, 17), core) == 1 then
    to_ring(sub(m, 9, 17))
    let_go = true
  end
end
if let_go then
  wake('q')
end
reply[2] = #back
return reply
