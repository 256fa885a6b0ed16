-- append_events(items): puts them behind the event log, and wakes whoever reads it if it was empty.
local function append_events(items)
  local length = 0
  for i = 1, #items, 1000 do
    length = call('RPUSH', 'ev', unpack(items, i, math.min(i + 999, #items)))
  end
  if #items > 0 and length == #items then
    wake('e')
  end
end
