import { failureMatrix } from './failure-matrix.contract.ts';

failureMatrix('http');
