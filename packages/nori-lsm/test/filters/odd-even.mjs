// A compaction filter for the tests: drops values of odd numbers, renames those of `data.rename`, throws at `data.fail`.
export const oddEven =
  ({ data }) =>
  ({ key, value }) => {
    const name = new TextDecoder().decode(key);
    if (name === data?.fail) throw new Error(`will not judge ${name}`);
    if (name === data?.rename) return new TextEncoder().encode('renamed');
    return Number(new TextDecoder().decode(value)) % 2 === 1 ? 'drop' : 'keep';
  };

export const nothing = 5;
