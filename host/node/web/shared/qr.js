// QR codes (ISO/IEC 18004): bytes, error correction level M, the smallest version that holds them. Drawn here, so that what stands
// in one never leaves the page.

/** Error correction codewords of a block, and blocks, at level M, by version. */
const ECC = [0, 10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26, 26, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28];
const BLOCKS = [0, 1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16, 17, 17, 18, 20, 21, 23, 25, 26, 28, 29, 31, 33, 35, 37, 38, 40, 43, 45, 47, 49];
const LEVEL_M = 0;

/** The code's modules: rows of booleans, true for dark. */
export function encode(text) {
  const bytes = new TextEncoder().encode(text);
  let version = 1;
  while (version <= 40 && bits(version, bytes.length) > dataCodewords(version) * 8) version += 1;
  if (version > 40) throw new RangeError("too long for a QR code");
  const grid = new Grid(version);
  grid.patterns();
  grid.write(interleave(codewords(bytes, version), version));
  grid.mask();
  return grid.dark;
}

const bits = (version, length) => 4 + (version < 10 ? 8 : 16) + 8 * length;

/** Modules for data and correction. */
function rawModules(version) {
  let count = (16 * version + 128) * version + 64;
  if (version >= 2) {
    const aligned = Math.floor(version / 7) + 2;
    count -= (25 * aligned - 10) * aligned - 55;
    if (version >= 7) count -= 36;
  }
  return count;
}

const dataCodewords = (version) => Math.floor(rawModules(version) / 8) - ECC[version] * BLOCKS[version];

function codewords(bytes, version) {
  const stream = [];
  const put = (value, length) => {
    for (let n = length - 1; n >= 0; n -= 1) stream.push((value >>> n) & 1);
  };
  put(4, 4);
  put(bytes.length, version < 10 ? 8 : 16);
  bytes.forEach((byte) => put(byte, 8));
  const capacity = dataCodewords(version) * 8;
  put(0, Math.min(4, capacity - stream.length));
  put(0, (8 - (stream.length % 8)) % 8);
  for (let pad = 0xec; stream.length < capacity; pad ^= 0xec ^ 0x11) put(pad, 8);
  const words = new Uint8Array(stream.length / 8);
  stream.forEach((bit, n) => (words[n >> 3] |= bit << (7 - (n & 7))));
  return words;
}

/** Splits the data into blocks, corrects each, and lays them one into the other. */
function interleave(data, version) {
  const [count, length] = [BLOCKS[version], ECC[version]];
  const raw = Math.floor(rawModules(version) / 8);
  const short = count - (raw % count);
  const shortLength = Math.floor(raw / count) - length;
  const divisor = generator(length);
  const blocks = [];
  for (let n = 0, at = 0; n < count; n += 1) {
    const part = data.slice(at, at + shortLength + (n < short ? 0 : 1));
    at += part.length;
    blocks.push({ part, correction: remainder(part, divisor) });
  }
  const words = [];
  for (let n = 0; n <= shortLength; n += 1) for (const { part } of blocks) if (n < part.length) words.push(part[n]);
  for (let n = 0; n < length; n += 1) for (const { correction } of blocks) words.push(correction[n]);
  return words;
}

/** Product in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1. */
function multiply(x, y) {
  let z = 0;
  for (let n = 7; n >= 0; n -= 1) {
    z = (z << 1) ^ ((z >>> 7) * 0x11d);
    z ^= ((y >>> n) & 1) * x;
  }
  return z;
}

function generator(degree) {
  const result = new Uint8Array(degree);
  result[degree - 1] = 1;
  for (let n = 0, root = 1; n < degree; n += 1, root = multiply(root, 2)) {
    for (let m = 0; m < degree; m += 1) result[m] = multiply(result[m], root) ^ (result[m + 1] ?? 0);
  }
  return result;
}

function remainder(data, divisor) {
  const result = new Uint8Array(divisor.length);
  for (const byte of data) {
    const factor = byte ^ result[0];
    result.copyWithin(0, 1);
    result[result.length - 1] = 0;
    divisor.forEach((coefficient, n) => (result[n] ^= multiply(coefficient, factor)));
  }
  return result;
}

class Grid {
  constructor(version) {
    this.version = version;
    this.size = version * 4 + 17;
    this.dark = Array.from({ length: this.size }, () => new Array(this.size).fill(false));
    this.fixed = Array.from({ length: this.size }, () => new Array(this.size).fill(false));
  }

  #set(x, y, dark) {
    this.dark[y][x] = dark;
    this.fixed[y][x] = true;
  }

  /** Everything but data. */
  patterns() {
    const { size } = this;
    for (let n = 0; n < size; n += 1) {
      this.#set(6, n, n % 2 === 0);
      this.#set(n, 6, n % 2 === 0);
    }
    for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]]) this.#finder(x, y);
    const at = this.#alignment();
    const last = at.length - 1;
    at.forEach((x, n) => at.forEach((y, m) => {
      const corner = (n === 0 && m === 0) || (n === 0 && m === last) || (n === last && m === 0);
      if (!corner) this.#align(x, y);
    }));
    this.#format(0);
    this.#version();
  }

  #finder(x, y) {
    for (let dy = -4; dy <= 4; dy += 1) {
      for (let dx = -4; dx <= 4; dx += 1) {
        const [px, py] = [x + dx, y + dy];
        if (px < 0 || py < 0 || px >= this.size || py >= this.size) continue;
        const ring = Math.max(Math.abs(dx), Math.abs(dy));
        this.#set(px, py, ring !== 2 && ring !== 4);
      }
    }
  }

  #align(x, y) {
    for (let dy = -2; dy <= 2; dy += 1) for (let dx = -2; dx <= 2; dx += 1) this.#set(x + dx, y + dy, Math.max(Math.abs(dx), Math.abs(dy)) !== 1);
  }

  #alignment() {
    const { version, size } = this;
    if (version === 1) return [];
    const count = Math.floor(version / 7) + 2;
    const step = version === 32 ? 26 : Math.ceil((version * 4 + 4) / (count * 2 - 2)) * 2;
    const places = [6];
    for (let at = size - 7; places.length < count; at -= step) places.splice(1, 0, at);
    return places;
  }

  #format(mask) {
    const { size } = this;
    const data = (LEVEL_M << 3) | mask;
    let rest = data;
    for (let n = 0; n < 10; n += 1) rest = (rest << 1) ^ ((rest >>> 9) * 0x537);
    const word = ((data << 10) | rest) ^ 0x5412;
    const bit = (n) => ((word >>> n) & 1) === 1;
    for (let n = 0; n <= 5; n += 1) this.#set(8, n, bit(n));
    this.#set(8, 7, bit(6));
    this.#set(8, 8, bit(7));
    this.#set(7, 8, bit(8));
    for (let n = 9; n < 15; n += 1) this.#set(14 - n, 8, bit(n));
    for (let n = 0; n < 8; n += 1) this.#set(size - 1 - n, 8, bit(n));
    for (let n = 8; n < 15; n += 1) this.#set(8, size - 15 + n, bit(n));
    this.#set(8, size - 8, true);
  }

  #version() {
    const { version, size } = this;
    if (version < 7) return;
    let rest = version;
    for (let n = 0; n < 12; n += 1) rest = (rest << 1) ^ ((rest >>> 11) * 0x1f25);
    const word = (version << 12) | rest;
    for (let n = 0; n < 18; n += 1) {
      const dark = ((word >>> n) & 1) === 1;
      const [a, b] = [size - 11 + (n % 3), Math.floor(n / 3)];
      this.#set(a, b, dark);
      this.#set(b, a, dark);
    }
  }

  /** Data in its zigzag from the right. */
  write(words) {
    const { size } = this;
    let n = 0;
    for (let right = size - 1; right >= 1; right -= 2) {
      if (right === 6) right = 5;
      for (let step = 0; step < size; step += 1) {
        for (const x of [right, right - 1]) {
          const upward = ((right + 1) & 2) === 0;
          const y = upward ? size - 1 - step : step;
          if (this.fixed[y][x] || n >= words.length * 8) continue;
          this.dark[y][x] = ((words[n >>> 3] >>> (7 - (n & 7))) & 1) === 1;
          n += 1;
        }
      }
    }
  }

  /** The mask with the least penalty. */
  mask() {
    let best = 0;
    let least = Infinity;
    for (let mask = 0; mask < 8; mask += 1) {
      this.#apply(mask);
      this.#format(mask);
      const penalty = this.#penalty();
      if (penalty < least) [best, least] = [mask, penalty];
      this.#apply(mask);
    }
    this.#apply(best);
    this.#format(best);
  }

  #apply(mask) {
    const rule = MASKS[mask];
    for (let y = 0; y < this.size; y += 1) for (let x = 0; x < this.size; x += 1) if (!this.fixed[y][x] && rule(x, y)) this.dark[y][x] = !this.dark[y][x];
  }

  #penalty() {
    const { size, dark } = this;
    let sum = 0;
    const column = (x) => dark.map((row) => row[x]);
    for (let n = 0; n < size; n += 1) sum += runs(dark[n]) + runs(column(n));
    let count = 0;
    for (let y = 0; y < size; y += 1) {
      for (let x = 0; x < size; x += 1) {
        if (dark[y][x]) count += 1;
        if (x + 1 < size && y + 1 < size && dark[y][x] === dark[y][x + 1] && dark[y][x] === dark[y + 1][x] && dark[y][x] === dark[y + 1][x + 1]) sum += 3;
      }
    }
    return sum + Math.floor(Math.abs(count * 20 - size * size * 10) / (size * size)) * 10;
  }
}

const MASKS = [
  (x, y) => (x + y) % 2 === 0, (x, y) => y % 2 === 0, (x) => x % 3 === 0, (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0, (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0, (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

/** Runs of five and more, and what looks like a finder. */
function runs(line) {
  let sum = 0;
  for (let n = 0, length = 0; n < line.length; n += 1) {
    length = n > 0 && line[n] === line[n - 1] ? length + 1 : 1;
    if (length === 5) sum += 3;
    else if (length > 5) sum += 1;
  }
  const text = line.map((dark) => (dark ? "1" : "0")).join("");
  for (const like of ["00001011101", "10111010000"]) for (let at = text.indexOf(like); at >= 0; at = text.indexOf(like, at + 1)) sum += 40;
  return sum;
}

/** Draws a code on a canvas, with its quiet border. */
export function draw(canvas, text, scale = 4) {
  const dark = encode(text);
  const border = 4;
  const side = (dark.length + 2 * border) * scale;
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, side, side);
  context.fillStyle = "#000";
  dark.forEach((row, y) => row.forEach((on, x) => on && context.fillRect((x + border) * scale, (y + border) * scale, scale, scale)));
}
