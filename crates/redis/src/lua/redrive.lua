#!lua
-- Puts failed sends back into the queue, in lanes of class resent: pinned, attempts counted anew.
-- KEYS   the shard's tag
-- ARGV   1 render again | 0 send the kept request; then per send: lane and core, variant or ''
-- reply  time, one character a send: 1 done, 0 it is no longer failed
-- bound  500 sends, about 5 us each
local rerender, answers = num() == 1, {}
while arg_at < #ARGV do
  local m, variant = arg(), arg()
  local done = #m == 40 and call('ZREM', 'failed', m) == 1
  answers[#answers + 1] = done and '1' or '0'
  if done then
    local lane, core = sub(m, 1, 9), sub(m, 10)
    local campaign, action, flags = sub(m, 1, 4), byte(core, 16), byte(core, 2)
    flags = bit.bor(flags, 1)
    if rerender then
      call('HDEL', 'r:' .. sub(core, 3, 7), campaign .. sub(core, 8, 16))
      flags = bit.band(flags, 251)
    end
    local after = math.min(math.max(t - number('>I6', core, 17), 0), 4294967295)
    core = sub(core, 1, 1) .. char(flags) .. sub(core, 3, 25) .. '\0\0' .. pack('>I4', after)
    place(pack('>I6', t) .. sub(lane, 1, 8) .. '\2' .. core)
    count(campaign, 'failed.' .. action, -1)
    count(campaign, 'pending.' .. action, 1)
    count(campaign, 'finished', -1)
    count(campaign, 'open', 1)
    if variant ~= '' then
      count(campaign, 'variant.' .. action .. '.' .. variant .. '.failed', -1)
    end
  end
end
flush()
return { t, table.concat(answers) }
