# What a function probe is calibrated on: empty functions, one for each class of first instruction, called in a row and
# timed. calibrate.x86_64 is this file, made by
#   gcc -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noseparate-code -Wl,-z,noexecstack -o calibrate.x86_64 calibrate.S
#   strip --strip-debug --remove-section=.note.gnu.property --remove-section=.comment calibrate.x86_64
# For ever: for each function, a record of three 64-bit numbers to stdout: which one, when it began (ns of
# CLOCK_MONOTONIC), how much CPU time 64 calls took (ns, so that other programs do not count). Between rounds it sleeps
# for half a millisecond. It ends when nobody reads what it writes, or after 30 seconds.

        .set    CALLS, 64

        .text
        .globl  tailflame_push, tailflame_endbr64, tailflame_mov, _start
        .type   tailflame_push, @function
        .type   tailflame_endbr64, @function
        .type   tailflame_mov, @function
        .type   _start, @function

        .p2align 4
tailflame_push:
        push    %rbp
        pop     %rbp
        ret
        .size   tailflame_push, . - tailflame_push

        .p2align 4
tailflame_endbr64:
        endbr64
        ret
        .size   tailflame_endbr64, . - tailflame_endbr64

        .p2align 4
tailflame_mov:
        mov     %rsp, %rax
        ret
        .size   tailflame_mov, . - tailflame_mov

        .p2align 4
_start:
        mov     $37, %eax               # alarm(30)
        mov     $30, %edi
        syscall
        sub     $64, %rsp               # 0: record (which, begin, length)   32: timespec   48: pause
        movq    $0, 48(%rsp)
        movq    $500000, 56(%rsp)
.Lround:
        xor     %ebx, %ebx
.Lfunction:
        lea     functions(%rip), %rax
        mov     (%rax,%rbx,8), %r13
        mov     $1, %edi                # CLOCK_MONOTONIC
        call    clock
        mov     %rax, 8(%rsp)
        mov     $3, %edi                # CLOCK_THREAD_CPUTIME_ID
        call    clock
        mov     %rax, 16(%rsp)
        mov     $CALLS, %r12d
.Lcall:
        call    *%r13
        dec     %r12d
        jnz     .Lcall
        mov     $3, %edi
        call    clock
        sub     16(%rsp), %rax
        mov     %rax, 16(%rsp)
        mov     %rbx, (%rsp)
        mov     $1, %eax                # write(1, record, 24)
        mov     $1, %edi
        mov     %rsp, %rsi
        mov     $24, %edx
        syscall
        cmp     $24, %rax
        jne     .Lend
        inc     %ebx
        cmp     $3, %ebx
        jb      .Lfunction
        mov     $35, %eax               # nanosleep(pause, 0)
        lea     48(%rsp), %rdi
        xor     %esi, %esi
        syscall
        jmp     .Lround
.Lend:
        mov     $60, %eax               # exit(0)
        xor     %edi, %edi
        syscall
        .size   _start, . - _start

        .p2align 4
        .type   clock, @function
clock:                                  # edi: which; rax: ns
        mov     $228, %eax              # clock_gettime
        lea     40(%rsp), %rsi          # 32 of the caller
        syscall
        imul    $1000000000, 40(%rsp), %rax
        add     48(%rsp), %rax
        ret
        .size   clock, . - clock

        .section .rodata
        .p2align 3
functions:
        .quad   tailflame_push, tailflame_endbr64, tailflame_mov

        .section .note.GNU-stack, "", @progbits
