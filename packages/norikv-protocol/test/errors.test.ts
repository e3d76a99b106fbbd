import { expect, test } from 'vitest';
import { ERROR_TABLE, ErrorCode, errorCodeName } from '../src/index.js';

test('the error table has every code of the protocol with its own number', () => {
  const numbers = Object.entries(ErrorCode).filter(([name, n]) => typeof n === 'number' && name !== 'UNSPECIFIED');
  expect(Object.keys(ERROR_TABLE).sort()).toEqual(numbers.map(([name]) => name).sort());
  for (const [name, number] of numbers) {
    expect(ERROR_TABLE[name as keyof typeof ERROR_TABLE].number).toBe(number);
    expect(errorCodeName(number as number)).toBe(name);
  }
});

test('an unknown number reads as INTERNAL', () => {
  expect(errorCodeName(0)).toBe('INTERNAL');
  expect(errorCodeName(9999)).toBe('INTERNAL');
});

test('connect codes agree with the gRPC statuses', () => {
  const grpc: Record<string, number> = {
    canceled: 1,
    unknown: 2,
    invalid_argument: 3,
    deadline_exceeded: 4,
    already_exists: 6,
    resource_exhausted: 8,
    failed_precondition: 9,
    unimplemented: 12,
    internal: 13,
    unavailable: 14,
    data_loss: 15,
  };
  for (const row of Object.values(ERROR_TABLE)) expect(row.grpcStatus).toBe(grpc[row.connectCode]);
});
