import { expect, test } from 'vitest';
import { FAILED, historyLines, registerEvent, UNKNOWN } from '../../src/index.js';
import { cas, get, increment, put, remove } from './histories.js';

test('a history becomes the lines that Jepsen and Knossos write', () => {
  const history = [
    put(1)(0, 0, 5),
    get(undefined)(1, 1, 4),
    cas(1, 2, false)(1, 6, 7),
    put(3, UNKNOWN)(0, 7),
    put(4, FAILED)(1, 9, 10),
    remove(true)(0, 11, 12),
    increment(2, 2, 'y')(1, 13, 14),
  ];
  expect(historyLines(history, registerEvent).trim().split('\n')).toEqual([
    '{"process":0,"type":"invoke","f":"write","value":["x",1],"time":0}',
    '{"process":1,"type":"invoke","f":"read","value":["x",null],"time":1}',
    '{"process":1,"type":"ok","f":"read","value":["x",null],"time":4}',
    '{"process":0,"type":"ok","f":"write","value":["x",1],"time":5}',
    '{"process":1,"type":"invoke","f":"cas","value":["x",[1,2]],"time":6}',
    '{"process":0,"type":"invoke","f":"write","value":["x",3],"time":7}',
    '{"process":1,"type":"fail","f":"cas","value":["x",[1,2]],"time":7}',
    '{"process":1,"type":"invoke","f":"write","value":["x",4],"time":9}',
    '{"process":1,"type":"fail","f":"write","value":["x",4],"time":10}',
    '{"process":2,"type":"invoke","f":"write","value":["x",null],"time":11}',
    '{"process":2,"type":"ok","f":"write","value":["x",null],"time":12}',
    '{"process":1,"type":"invoke","f":"add","value":["y",2],"time":13}',
    '{"process":0,"type":"info","f":"write","value":["x",3],"time":14}',
    '{"process":1,"type":"ok","f":"add","value":["y",2],"time":14}',
  ]);
});

test('a process that calls before its last call returned is refused', () => {
  expect(() => historyLines([put(1)(0, 0, 5), get(1)(0, 5, 6)], registerEvent)).toThrow(RangeError);
});
