-- write_log(n, rows, rows_max, rows_ms): one entry of the send log for n rows; the oldest go, by number and by age.
local function write_log(n, rows, rows_max, rows_ms)
  if n == 0 then
    return
  end
  call('XADD', 'log', '*', 'n', n, 'r', rows)
  local total = tonumber(call('INCRBY', 'logrows', n))
  -- Mostly one entry at most has to go, and it is the first.
  for _ = 1, 8 do
    local oldest = call('XRANGE', 'log', '-', '+', 'COUNT', 1)[1]
    if not oldest or (total <= rows_max and tonumber(string.match(oldest[1], '^%d+')) > t - rows_ms) then
      break
    end
    call('XDEL', 'log', oldest[1])
    total = total - (tonumber(oldest[2][2]) or 0)
  end
  call('SET', 'logrows', string.format('%.0f', math.max(0, total)))
end

-- The rows of sends that ended in being planned.
local function read_rows()
  local rows = {}
  for i = 1, num() do
    rows[i] = arg()
  end
  rows.max, rows.ms = num(), num()
  return rows
end

local function write_rows(rows)
  write_log(#rows, table.concat(rows), rows.max, rows.ms)
end
