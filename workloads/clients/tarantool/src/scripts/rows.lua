local space = box.space[call.spaces[1]]
if call.f == 'add' then
    local value = call.value
    if value == nil then
        local last = space.index.pk:max({call.key})
        value = last == nil and 1 or last[2] + 1
    end
    space:insert({call.key, value, require('clock').time64() / 1000})
    return value
end
local rows = {}
for _, tuple in space:pairs({call.key}) do table.insert(rows, {tuple[2], tuple[3]}) end
return rows
