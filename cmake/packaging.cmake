# `make install` and `make deb`: what goes with the binary. A Debian package has the service and its settings besides, which
# `make install` leaves alone.
if(NOT PEGAINFER_SANITIZE)  # made by the binary itself: src/apps/CMakeLists.txt
  set(package_docs ${PROJECT_BINARY_DIR}/package)
  install(FILES ${package_docs}/pegainfer.1.gz DESTINATION share/man/man1)
  install(FILES ${package_docs}/pegainfer DESTINATION share/bash-completion/completions)
  install(FILES ${package_docs}/_pegainfer DESTINATION share/zsh/vendor-completions)
  install(FILES ${package_docs}/pegainfer.fish DESTINATION share/fish/vendor_completions.d)
endif()

set(packaging ${PROJECT_SOURCE_DIR}/packaging)
install(FILES ${packaging}/pegainfer.service DESTINATION /lib/systemd/system COMPONENT service EXCLUDE_FROM_ALL)
install(FILES ${packaging}/pegainfer.default DESTINATION /etc/default RENAME pegainfer COMPONENT service EXCLUDE_FROM_ALL)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION share/doc/pegainfer RENAME copyright COMPONENT service EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME pegainfer)
set(CPACK_PACKAGE_VENDOR pegainfer)
set(CPACK_PACKAGE_CONTACT "the pegainfer developers <pegainfer@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "inference server for language models with OpenAI's endpoints")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"One binary that loads safetensors and GGUF models and serves them over HTTP:
continuous batching, a paged KV cache with prefix sharing, metrics under vLLM's
names. With a systemd service, which is not started before it has a model.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${packaging}/conffiles ${packaging}/postinst ${packaging}/prerm ${packaging}/postrm)
set(CPACK_STRIP_FILES ON)
# Files outside of /usr: installed below a folder of CPack's, never into the machine's own /etc.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_CMAKE_PROJECTS "${PROJECT_BINARY_DIR};pegainfer;ALL;/" "${PROJECT_BINARY_DIR};pegainfer;service;/")
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
include(CPack)
