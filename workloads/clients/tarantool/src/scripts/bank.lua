local function space_of(account)
    return box.space[call.spaces[account % #call.spaces + 1]]
end
if call.f == 'read' then
    local balances = {}
    for _, name in ipairs(call.spaces) do
        for _, tuple in box.space[name]:pairs() do table.insert(balances, {tuple[1], tuple[2]}) end
    end
    return balances
end
local from, to, amount = call.value.from, call.value.to, call.value.amount
local source, target = space_of(from):get(from), space_of(to):get(to)
if source == nil or target == nil then return nil, 'not-found', 'an account does not exist' end
if source[2] < amount and not call.overdrafts then
    return nil, 'precondition', 'the account holds ' .. tostring(source[2])
end
space_of(from):update(from, {{'-', 2, amount}})
space_of(to):update(to, {{'+', 2, amount}})
