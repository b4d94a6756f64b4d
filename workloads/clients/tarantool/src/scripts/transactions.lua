-- The replies of the micro-operations, in their order. A key holds a list or a register.
local space = box.space[call.spaces[1]]
local replies = {}
for place, operation in ipairs(call.value) do
    local f, key, value = operation[1], operation[2], operation[3]
    replies[place] = box.NULL
    if f == 'w' then
        space:replace({key, value})
    else
        local tuple = space:get(key)
        if f == 'r' then
            if tuple ~= nil then replies[place] = tuple[2] end
        else
            local list = tuple == nil and {} or tuple[2]
            table.insert(list, value)
            space:replace({key, list})
        end
    end
end
return replies
