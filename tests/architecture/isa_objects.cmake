# SPDX-License-Identifier: Apache-2.0
# cmake -DNM=<nm> -DOBJECTS=<a.o;b.o> -P isa_objects.cmake
# Fails when an object compiled for a newer instruction set defines a weak symbol: the linker keeps one copy of such
# a function for the whole program, and a processor without that set must never run this one (core/kernels/cpu/isa/isa.h).
list(LENGTH OBJECTS count)
if(count EQUAL 0)
  message(FATAL_ERROR "no objects to check")
endif()
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND ${NM} --demangle --defined-only ${object}
    OUTPUT_VARIABLE symbols RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${NM} cannot read ${object}")
  endif()
  if(NOT symbols MATCHES " [DRB] inlay::kernels::")
    message(FATAL_ERROR "${object} defines no kernel table: nothing was checked")
  endif()
  string(REGEX MATCHALL "[0-9a-f]+ [VvWwu] [^\n]*" weak "${symbols}")
  if(weak)
    list(JOIN weak "\n  " weak)
    message(SEND_ERROR "${object} defines weak symbols:\n  ${weak}")
  endif()
endforeach()
