-- What ci/bench ports has Lua do: each part says its name, its seconds and what came out.
local total = 0

local function part(name, work)
    local begun = os.clock()
    local result = work()
    local seconds = os.clock() - begun
    total = total + seconds
    print(("part %s %.3f %s"):format(name, seconds, result))
end

part("calls", function()
    local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
    return fib(25)
end)

part("floats", function()
    local sum = 0
    for i = 1, 400000 do
        local x = i * 0.37
        sum = sum + math.sqrt(x) * math.sin(x) - math.floor(x) / (1 + x % 7)
    end
    return ("%.9e"):format(sum)
end)

part("tables", function()
    local prime, count = {}, 0
    for i = 2, 300000 do prime[i] = true end
    for i = 2, 300000 do
        if prime[i] then
            count = count + 1
            for j = i * i, 300000, i do prime[j] = false end
        end
    end
    return count
end)

part("sorting", function()
    local words, state = {}, 1
    for i = 1, 30000 do
        state = state * 1103515245 + 12345 & 0x7fffffff
        words[i] = ("%08x"):format(state)
    end
    table.sort(words)
    return words[1] .. words[#words]
end)

part("strings", function()
    local parts = {}
    for i = 1, 20000 do parts[i] = "key" .. i .. "=" .. i * i end
    local text, sum = table.concat(parts, ";"), 0
    for key, value in text:gmatch("key(%d+)=(%d+)") do sum = sum + #key * #value end
    return sum + #text:gsub("%d", "#"):upper()
end)

part("objects", function()
    local function tree(depth)
        return depth == 0 and {} or {left = tree(depth - 1), right = tree(depth - 1)}
    end
    local function count(node) return node.left and 1 + count(node.left) + count(node.right) or 1 end
    local nodes = 0
    for _ = 1, 8 do nodes = nodes + count(tree(12)) end
    return nodes
end)

print(("total %.3f"):format(total))
