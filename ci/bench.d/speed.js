// What ci/bench ports has QuickJS do: each part says its name, its seconds and what came out.
let total = 0;

function part(name, work) {
    const begun = Date.now();
    const result = work();
    const seconds = (Date.now() - begun) / 1000;
    total += seconds;
    print("part", name, seconds.toFixed(3), result);
}

part("calls", () => {
    const fib = (n) => (n < 2 ? n : fib(n - 1) + fib(n - 2));
    return fib(25);
});

part("floats", () => {
    let sum = 0;
    for (let i = 1; i <= 200000; i++) {
        const x = i * 0.37;
        sum += Math.sqrt(x) * Math.sin(x) - Math.floor(x) / (1 + (x % 7));
    }
    return sum.toExponential(9);
});

part("arrays", () => {
    const prime = new Array(200000).fill(true);
    let count = 0;
    for (let i = 2; i < prime.length; i++) {
        if (!prime[i]) continue;
        count++;
        for (let j = i * i; j < prime.length; j += i) prime[j] = false;
    }
    return count;
});

part("sorting", () => {
    const words = [];
    let state = 1;
    for (let i = 0; i < 20000; i++) {
        state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
        words.push(state.toString(16).padStart(8, "0"));
    }
    words.sort();
    return words[0] + words[words.length - 1];
});

part("strings", () => {
    const parts = [];
    for (let i = 1; i <= 2000; i++) parts.push(`key${i}=${i * i}`);
    const text = parts.join(";");
    let sum = 0;
    for (const [, key, value] of text.matchAll(/key(\d+)=(\d+)/g)) sum += key.length * value.length;
    return sum + text.replace(/\d/g, "#").toUpperCase().length;
});

part("objects", () => {
    const tree = (depth) => (depth == 0 ? {} : { left: tree(depth - 1), right: tree(depth - 1) });
    const count = (node) => (node.left ? 1 + count(node.left) + count(node.right) : 1);
    let nodes = 0;
    for (let i = 0; i < 8; i++) nodes += count(tree(11));
    return nodes;
});

part("maps", () => {
    const map = new Map();
    for (let i = 0; i < 50000; i++) map.set(`k${i % 5000}`, (map.get(`k${i % 5000}`) ?? 0) + i);
    return [...map.values()].reduce((a, b) => a + b, 0);
});

part("numbers", () => {
    let length = 0;
    for (let i = 1; i < 10000; i++) length += String(i / 7).length + parseFloat(`${i}.25`);
    return length;
});

print("total", total.toFixed(3));
