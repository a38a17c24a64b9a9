-- A web server that says hello: lua /hello.lua [PORT]
local function head_of(conn)
    local head = ""
    while not head:find("\r\n\r\n", 1, true) do
        local more = conn:read(4096)
        if not more or #head > 16384 then
            return nil
        end
        head = head .. more
    end
    return head
end

local function answer(conn, number)
    local head = head_of(conn)
    if not head then
        return
    end
    local path = head:match("^GET (%S+) HTTP/1%.[01]\r\n")
    local status = path and "200 OK" or "405 Method Not Allowed"
    local body = path and ("Hello from %s, path %s, request %d\n"):format(_VERSION, path, number) or ""
    conn:write(("HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"):format(status, #body, body))
end

local server = assert(socket.listen(tonumber(arg[1] or 80)))
print("listening")
local number = 0
while true do
    local conn = assert(server:accept())
    number = number + 1
    answer(conn, number)
    conn:close()
end
