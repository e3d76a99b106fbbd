;; CRC-32C of long inputs without a table look-up for each byte, after "Chorba: A novel CRC32 implementation" (Sam Russell, 2024).
;;
;; A message is a polynomial, its first byte the highest coefficients; the checksum is what remains modulo P. With
;;
;;   x^1672 + x^1152 + x^432 + x^312 + x^112 + 1 = 0 (mod P)
;;
;; a byte may be taken away if it is added to the bytes 65, 155, 170, 195 and 209 behind it (1672 / 8 = 209, (1672 - 1152) / 8 = 65,
;; and so on). Done from the front, this leaves the last 209 to 224 bytes to be looked up. Each 16 bytes y of what is taken away are
;; those of the message plus those of y 65, 155, … bytes before.
;;
;; Memory, in bytes, one page of 64 KiB:
;;
;;      0   table of slicing by 8: 8 x 256 words, filled in by the caller
;;   8192   the rest, that is looked up (224)
;;   8448   zeros (256)
;;   8704   y (8192), followed by zeros
;;  17408   the message (8192): what the caller fills in, and what comes behind it does not matter
;;
;; crc32c-wasm.ts holds this file in binary; `node scripts/assemble.mjs` makes it.
(module
  (memory (export "memory") 1)

  ;; Continues the state (the checksum's complement) with the first $length bytes of the message, 256 to 8192. Changes the message.
  (func (export "update") (param $length i32) (param $state i32) (result i32)
    (local $at i32)
    (local $end i32)
    (local $crc i32)
    (local $eight i64)

    (i32.store offset=17408 (i32.const 0) (i32.xor (i32.load offset=17408 (i32.const 0)) (local.get $state)))

    ;; What is taken away: whole 16 bytes, and 209 bytes remain behind them.
    (local.set $end (i32.and (i32.sub (local.get $length) (i32.const 209)) (i32.const -16)))
    (loop $take
      (v128.store offset=8704 (local.get $at)
        (v128.xor
          (v128.xor (v128.load offset=8495 (local.get $at))     ;; 209 before
            (v128.xor (v128.load offset=8509 (local.get $at))   ;; 195 before
                      (v128.load offset=8534 (local.get $at)))) ;; 170 before
          (v128.xor
            (v128.xor (v128.load offset=8549 (local.get $at))   ;; 155 before
                      (v128.load offset=17408 (local.get $at))) ;; the message
            (v128.load offset=8639 (local.get $at)))))          ;; 65 before
      (br_if $take (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $end))))

    ;; The rest gets what was taken away before it, nothing of itself.
    (loop $add
      (v128.store offset=8704 (local.get $at) (v128.const i64x2 0 0))
      (v128.store offset=8192 (i32.sub (local.get $at) (local.get $end))
        (v128.xor
          (v128.xor (v128.load offset=8495 (local.get $at))
            (v128.xor (v128.load offset=8509 (local.get $at))
                      (v128.load offset=8534 (local.get $at))))
          (v128.xor
            (v128.xor (v128.load offset=8549 (local.get $at))
                      (v128.load offset=17408 (local.get $at)))
            (v128.load offset=8639 (local.get $at)))))
      (br_if $add (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $length))))

    ;; The rest by eight bytes, then by single ones.
    (local.set $end (i32.sub (local.get $length) (local.get $end)))
    (local.set $at (i32.const 0))
    (loop $eights
      (local.set $eight
        (i64.xor (i64.load offset=8192 (local.get $at)) (i64.extend_i32_u (local.get $crc))))
      (local.set $crc
        (i32.xor
          (i32.xor
            (i32.xor
              (i32.load offset=7168 (i32.wrap_i64 (i64.and (i64.shl (local.get $eight) (i64.const 2)) (i64.const 1020))))
              (i32.load offset=6144 (i32.wrap_i64 (i64.and (i64.shr_u (local.get $eight) (i64.const 6)) (i64.const 1020)))))
            (i32.xor
              (i32.load offset=5120 (i32.wrap_i64 (i64.and (i64.shr_u (local.get $eight) (i64.const 14)) (i64.const 1020))))
              (i32.load offset=4096 (i32.wrap_i64 (i64.and (i64.shr_u (local.get $eight) (i64.const 22)) (i64.const 1020))))))
          (i32.xor
            (i32.xor
              (i32.load offset=3072 (i32.wrap_i64 (i64.and (i64.shr_u (local.get $eight) (i64.const 30)) (i64.const 1020))))
              (i32.load offset=2048 (i32.wrap_i64 (i64.and (i64.shr_u (local.get $eight) (i64.const 38)) (i64.const 1020)))))
            (i32.xor
              (i32.load offset=1024 (i32.wrap_i64 (i64.and (i64.shr_u (local.get $eight) (i64.const 46)) (i64.const 1020))))
              (i32.load offset=0 (i32.wrap_i64 (i64.and (i64.shr_u (local.get $eight) (i64.const 54)) (i64.const 1020))))))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $eights (i32.le_u (i32.add (local.get $at) (i32.const 8)) (local.get $end))))
    (block $done
      (loop $singles
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $crc
          (i32.xor (i32.shr_u (local.get $crc) (i32.const 8))
            (i32.load (i32.shl
              (i32.and (i32.xor (local.get $crc) (i32.load8_u offset=8192 (local.get $at))) (i32.const 255))
              (i32.const 2)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $singles)))
    (local.get $crc)))
